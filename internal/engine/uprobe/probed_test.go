//go:build linux

package uprobe

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// probed counts the sites at which a process, which runs an executable where it was linked, has something else in memory than in its file.
func probed(t testing.TB, pid int, binary *goexe.Binary, exe string) (n int) {
	t.Helper()
	file, err := os.Open(exe)
	require.NoError(t, err)
	defer file.Close()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	require.NoError(t, err)
	defer memory.Close()
	read := func(from io.ReaderAt, at uint64) []byte {
		code := make([]byte, 4)
		_, err := from.ReadAt(code, int64(at))
		require.NoError(t, err)
		return code
	}
	for _, s := range binary.Sites {
		if !bytes.Equal(read(file, s.Offset), read(memory, s.Address)) {
			n++
		}
	}
	return n
}

// TestNoRoomForProbes has no file descriptor left for a probe. That is no fault of the executable: it is attached to when there is room.
func TestNoRoomForProbes(t *testing.T) {
	e := newEngine(t, 4096)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	few := before
	few.Cur = 256
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	var open []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		open = append(open, f)
	}
	_, err = e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	for _, f := range open {
		require.NoError(t, f.Close())
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	require.ErrorIs(t, err, engine.ErrTooMany)
	a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	require.NoError(t, a.Close())
}

// attachToAll is set for a copy of the test that attaches to all executables in the directory that it names, says so, and closes all at a line.
const attachToAll = "ATTACH_TO_ALL_IN"

func TestAttachToAll(t *testing.T) {
	dir := os.Getenv(attachToAll)
	if dir == "" {
		return
	}
	e := newEngine(t, 4096)
	exes, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	var closing sync.WaitGroup
	defer closing.Wait()
	for _, exe := range exes {
		binary, err := goexe.Open(exe)
		require.NoError(t, err)
		defer binary.Close()
		a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
		require.NoError(t, err)
		defer closing.Go(func() { _ = a.Close() })
	}
	fmt.Println("attached")
	_, _ = fmt.Scanln()
}

// TestNoProbeIsLeft ends a process that has probes on fifty executables, in order and by SIGKILL: soon no process has a probe.
func TestNoProbeIsLeft(t *testing.T) {
	const executables = 50
	testbuild.RequireRoot(t)
	dir := t.TempDir()
	program := testbuild.Program(t, "storm", testbuild.Options{})
	content, err := os.ReadFile(program)
	require.NoError(t, err)
	binary, err := goexe.Open(program)
	require.NoError(t, err)
	defer binary.Close()
	var pids []int
	for i := range executables {
		exe := filepath.Join(dir, strconv.Itoa(i))
		require.NoError(t, os.WriteFile(exe, content, 0o755))
		p := testbuild.Start(t, exe, "1", "1")
		p.Line()
		pids = append(pids, p.PID())
	}
	probes := func() (n int) {
		for _, pid := range pids {
			n += probed(t, pid, binary, program)
		}
		return n
	}
	t.Setenv(attachToAll, dir)
	for name, end := range map[string]func(*testbuild.Running){
		"in order": (*testbuild.Running).GoOn,
		"killed":   func(p *testbuild.Running) { p.Signal(unix.SIGKILL) },
	} {
		p := testbuild.Start(t, os.Args[0], "-test.run=^TestAttachToAll$")
		for p.Line() != "attached" {
		}
		require.Equal(t, executables*len(binary.Sites), probes())
		began := time.Now()
		end(p)
		require.Eventually(t, func() bool { return probes() == 0 }, 5*time.Second, 20*time.Millisecond, name)
		t.Log(name, time.Since(began))
	}
}
