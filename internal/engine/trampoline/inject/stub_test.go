//go:build linux

package inject

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// abandon has a thread make a system call, and lets go of it before it does, as a tracer does that dies.
func abandon(t *testing.T, p *process, id int) {
	t.Helper()
	at, err := p.spare()
	require.NoError(t, err)
	require.NoError(t, p.trace(func(tr *tracer) error {
		th, err := tr.seize(id, 0)
		if err != nil {
			return err
		}
		if err := tr.stop(th, time.Now().Add(time.Second)); err != nil {
			return err
		}
		c := &caller{t: tr, th: th, stub: at}
		if err := c.begin(""); err != nil {
			return err
		}
		r := c.saved.calling(at, unix.SYS_GETPPID, nil)
		return errors.Join(c.setRegisters(&r), c.setMask(^uint64(0)), tr.letGo(id, 0))
	}))
}

// TestStub abandons threads in injected system calls: each restores itself, its system call and its signals.
func TestStub(t *testing.T) {
	testbuild.RequireRoot(t)
	t.Run("blocked", func(t *testing.T) {
		exe := testbuild.Program(t, "blocked", testbuild.Options{})
		program := programIn(t, exe)
		p := testbuild.Start(t, exe, "1500")
		require.Equal(t, "ready", p.Line())
		of := mustOpen(t, p.PID(), program)
		ids, err := of.ids()
		require.NoError(t, err)
		// The runtime blocks signals in a thread for a moment, while that begins another.
		unblocked := func() bool {
			return !slices.ContainsFunc(ids, func(id int) bool {
				return strings.Trim(processes.StatusField(of.proc+"/task/"+itoa(id), "SigBlk"), "0") != ""
			})
		}
		require.Eventually(t, unblocked, time.Second, time.Millisecond)
		for _, id := range ids {
			abandon(t, of, id)
		}
		require.Eventually(t, unblocked, time.Second, time.Millisecond)
		for line := p.Line(); line != "end"; line = p.Line() {
			name, result, _ := strings.Cut(line, " ")
			if name != "epoll_wait" {
				require.Equal(t, "ok", result, line)
			}
		}
		p.Wait()
	})
	t.Run("running", func(t *testing.T) {
		p := exact(t, testbuild.Options{})
		program := programFor(t, p.PID())
		before := codeOf(t, p.PID(), program)
		of := mustOpen(t, p.PID(), program)
		for i := range 100 {
			ids, err := of.ids()
			require.NoError(t, err)
			abandon(t, of, ids[i%len(ids)])
		}
		well(t, p)
		cycle(t, p.PID(), program)
		slots, err := of.slots()
		require.NoError(t, err)
		// A stack may have the address of a stub for some time, of a signal that came there and was handled: then the stub stays.
		for until := time.Now().Add(10 * time.Second); !bytes.Equal(before, codeOf(t, p.PID(), program)); well(t, p) {
			require.True(t, time.Now().Before(until), "stubs are left")
			require.NoError(t, of.clean(slots))
		}
	})
}

// TestFrozen installs into a process that is frozen, in which no thread can carry out anything: it gives up in time, and the process is well
// when it goes on.
func TestFrozen(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	before := codeOf(t, p.PID(), program)
	freeze := freezer(t, p.PID())
	freeze("1")
	began := time.Now()
	_, err := Install(p.PID(), program)
	require.Less(t, time.Since(began), 20*time.Second)
	require.Error(t, err)
	var r *engine.Refusal
	require.NotErrorAs(t, err, &r)
	freeze("0")
	well(t, p)
	cycle(t, p.PID(), program)
	require.Equal(t, before, codeOf(t, p.PID(), program))
	require.Zero(t, descriptors(t, p.PID()))
	well(t, p)
}

// freezer moves a process into a control group of its own, and returns what freezes it (cgroup.freeze in
// Documentation/admin-guide/cgroup-v2.rst).
func freezer(t *testing.T, pid int) (freeze func(string)) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if fields[2] != "cgroup2" {
			continue
		}
		group := filepath.Join(fields[1], "inject-test-"+itoa(pid))
		if err := os.Mkdir(group, 0o755); err != nil {
			t.Skipf("NOT TESTED: no control group can be made: %v", err)
		}
		t.Cleanup(func() {
			_ = os.WriteFile(filepath.Join(fields[1], "cgroup.procs"), []byte(itoa(pid)), 0)
			_ = os.Remove(group)
		})
		require.NoError(t, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(itoa(pid)), 0))
		return func(how string) {
			require.NoError(t, os.WriteFile(filepath.Join(group, "cgroup.freeze"), []byte(how), 0))
			require.Eventually(t, func() bool {
				events, err := os.ReadFile(filepath.Join(group, "cgroup.events"))
				return err == nil && strings.Contains(string(events), "frozen "+how)
			}, 5*time.Second, time.Millisecond)
		}
	}
	t.Skip("NOT TESTED: there are no control groups of version 2")
	return nil
}
