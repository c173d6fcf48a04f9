//go:build linux

package inject

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// killed is set for a copy of the test that installs and removes, and kills itself: "PID STEP NANOSECONDS", so long after so many steps.
const killed = "INJECT_KILLED"

// killings is how often TestKill kills an installing process; 50 times by default.
const killings = "INJECT_KILLINGS"

func TestMain(m *testing.M) {
	if how := os.Getenv(killed); how != "" {
		if err := installKilled(how); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	if how := os.Getenv(unprivileged); how != "" {
		if err := checkUnprivileged(how); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// installKilled installs and removes. It writes what it has come to.
func installKilled(how string) error {
	var pid, at, late int
	if _, err := fmt.Sscan(how, &pid, &at, &late); err != nil {
		return err
	}
	program, err := counters(pid)
	if err != nil {
		return err
	}
	n := 0
	step = func() {
		if n++; n != at {
			return
		}
		if late == 0 {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		end := time.Now().Add(time.Duration(late))
		go func() {
			for time.Now().Before(end) {
			}
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		}()
	}
	in, err := Install(pid, program)
	if err != nil {
		return err
	}
	fmt.Println("installed", n)
	if err := in.Remove(); err != nil {
		return err
	}
	fmt.Println("removed", n)
	return in.Close()
}

// killAt has a process begin an installation that is killed at a step, and returns the last line that it wrote.
func killAt(t *testing.T, pid, at, late int) (last string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", killed, pid, at, late))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last = lines.Text()
	}
	_ = cmd.Wait()
	require.False(t, strings.HasPrefix(last, "error"), "%s at step %d", last, at)
	return last
}

// TestKill kills a process that installs and removes trampolines before one of its steps, or a moment after: of each program first while it
// has nothing of trampolines, and again while it has what is left then. The program stays well, what is left is no obstacle, and at last the
// code is what it was, with no descriptor left.
func TestKill(t *testing.T) {
	testbuild.RequireRoot(t)
	times := 50
	if n, err := strconv.Atoi(os.Getenv(killings)); err == nil {
		times = n
	}
	steps := countSteps(t)
	t.Logf("%d of %d steps", times, steps)
	for i := 0; i < times; i += 2 {
		p := exact(t, testbuild.Options{})
		program := programFor(t, p.PID())
		before := codeOf(t, p.PID(), program)
		for k := i; k < i+2; k++ {
			at, late := k*stride%steps+1, 0
			if k >= steps {
				late = rand.IntN(latest)
			}
			killAt(t, p.PID(), at, late)
			well(t, p)
			t.Log("killed at", at, late)
		}
		in, err := Install(p.PID(), program)
		require.NoError(t, err)
		well(t, p)
		require.NoError(t, in.Remove())
		require.NoError(t, in.Close())
		require.Zero(t, descriptors(t, p.PID()))
		require.Equal(t, before, codeOf(t, p.PID(), program))
		well(t, p)
		p.Stop()
	}
}

const (
	// stride is a prime, so that steps are spread, and all are taken in the end.
	stride = 37
	// latest is how many nanoseconds after a step the process is killed at last: steps take some microseconds.
	latest = 100_000
)

// countSteps returns how many steps there are.
func countSteps(t *testing.T) int {
	t.Helper()
	p := exact(t, testbuild.Options{})
	defer p.Stop()
	last := killAt(t, p.PID(), 0, 0)
	steps, err := strconv.Atoi(strings.TrimPrefix(last, "removed "))
	require.NoError(t, err, last)
	return steps
}
