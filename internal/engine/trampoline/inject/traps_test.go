//go:build linux

package inject

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// cycle installs and removes.
func cycle(t testing.TB, pid int, program Program) {
	t.Helper()
	in, err := Install(pid, program)
	require.NoError(t, err)
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
}

// refused requires a reason of Install and of Check.
func refused(t testing.TB, why engine.Reason, pid int, program Program) {
	t.Helper()
	_, err := Install(pid, program)
	requireReason(t, why, err)
	requireReason(t, why, Check(pid, program))
}

func requireReason(t testing.TB, why engine.Reason, err error) {
	t.Helper()
	var r *engine.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, why, r.Reason, "%v", err)
}

// TestBlockedCalls stops threads in all kinds of blocking system calls, many times. No call returns early or with what the kernel keeps for
// itself. Only epoll_wait may be interrupted, which it is by each stop, whoever stops it (signal(7)).
func TestBlockedCalls(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "blocked", testbuild.Options{})
	program := programIn(t, exe)
	p := testbuild.Start(t, exe, "1500")
	require.Equal(t, "ready", p.Line())
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		cycle(t, p.PID(), program)
	}
	for line := p.Line(); line != "end"; line = p.Line() {
		name, result, _ := strings.Cut(line, " ")
		if name == "epoll_wait" && strings.HasPrefix(result, "-1 4 ") {
			continue
		}
		require.Equal(t, "ok", result, line)
	}
	p.Wait()
}

// TestBorrowedThreads borrows each thread of a program, all of which are in blocking system calls.
func TestBorrowedThreads(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "blocked", testbuild.Options{})
	program := programIn(t, exe)
	p := testbuild.Start(t, exe, "1500")
	require.Equal(t, "ready", p.Line())
	of, err := program.open(p.PID())
	require.NoError(t, err)
	defer of.close()
	ids, err := of.ids()
	require.NoError(t, err)
	at, err := of.spare()
	require.NoError(t, err)
	for _, id := range ids {
		err := of.trace(func(tr *tracer) error {
			th, err := tr.seize(id, 0)
			if err != nil {
				return err
			}
			if err := tr.stop(th, time.Now().Add(time.Second)); err != nil {
				return err
			}
			return tr.lend(th, at, "", func(c *caller) error {
				got, err := c.call(unix.SYS_GETTID)
				assert.Equal(t, uint64(id), got)
				return err
			})
		})
		require.NoError(t, err)
	}
	for line := p.Line(); line != "end"; line = p.Line() {
		name, result, _ := strings.Cut(line, " ")
		if name != "epoll_wait" {
			require.Equal(t, "ok", result, line)
		}
	}
	p.Wait()
}

// TestSleepersInTheKernel installs while a thread is kept in the kernel by a child that it had by vfork.
func TestSleepersInTheKernel(t *testing.T) {
	testbuild.RequireRoot(t)
	p := testbuild.Start(t, testbuild.Program(t, "forking", testbuild.Options{Cgo: true}))
	require.Equal(t, "ready", p.Line())
	program := programFor(t, p.PID())
	for range 5 {
		began := time.Now()
		cycle(t, p.PID(), program)
		require.Less(t, time.Since(began), 700*time.Millisecond, "it waits for the child")
		p.GoOn()
		require.Equal(t, "ok", p.Line())
	}
	require.Eventually(t, func() bool { return tracers(t, p.PID()) == 0 }, time.Second, time.Millisecond)
}

// tracers counts the threads of a process that are traced.
func tracers(t testing.TB, pid int) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/" + itoa(pid) + "/task")
	require.NoError(t, err)
	for _, e := range all {
		if of := processes.StatusField("/proc/"+itoa(pid)+"/task/"+e.Name(), "TracerPid"); of != "0" && of != "" {
			n++
		}
	}
	return n
}

// TestChildWithParentsMemory refuses a child that has its parent's memory.
func TestChildWithParentsMemory(t *testing.T) {
	testbuild.RequireRoot(t)
	p := testbuild.Start(t, testbuild.Program(t, "forking", testbuild.Options{Cgo: true}))
	require.Equal(t, "ready", p.Line())
	program := programFor(t, p.PID())
	child := 0
	require.Eventually(t, func() bool {
		if child = childOf(p.PID()); child == 0 {
			return false
		}
		_, err := Install(child, program)
		return isReason(engine.RefusedVFork, err) && isReason(engine.RefusedVFork, Check(child, program))
	}, 5*time.Second, time.Millisecond)
}

func isReason(why engine.Reason, err error) bool {
	var r *engine.Refusal
	return errors.As(err, &r) && r.Reason == why
}

func childOf(pid int) (child int) {
	all, _ := os.ReadDir("/proc/" + itoa(pid) + "/task")
	for _, e := range all {
		text, _ := os.ReadFile("/proc/" + itoa(pid) + "/task/" + e.Name() + "/children")
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return n
		}
	}
	return 0
}

// TestThreadsThatExit installs and removes while threads begin and end. None is left for this process to wait for.
func TestThreadsThatExit(t *testing.T) {
	testbuild.RequireRoot(t)
	p := testbuild.Start(t, testbuild.Program(t, "torture", testbuild.Options{}), "60s", "threads,pass")
	require.Equal(t, "ready", p.Line())
	program := programFor(t, p.PID())
	for range 50 {
		cycle(t, p.PID(), program)
	}
	p.GoOn()
	require.True(t, strings.HasPrefix(p.Line(), "ok "))
	of, err := program.open(p.PID())
	require.NoError(t, err)
	defer of.close()
	dead := func() (n int) {
		ids, err := of.ids()
		require.NoError(t, err)
		for _, id := range ids {
			if of.state(id) == 'Z' {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return dead() == 0 }, 5*time.Second, time.Millisecond)
}

// TestSurvivor installs into a process whose first thread has exited.
func TestSurvivor(t *testing.T) {
	testbuild.RequireRoot(t)
	p := testbuild.Start(t, testbuild.Program(t, "survivor", testbuild.Options{}))
	require.Equal(t, "ready", p.Line())
	program := programFor(t, p.PID())
	p.GoOn()
	require.Equal(t, "survived", p.Line())
	for range 5 {
		in, err := Install(p.PID(), program)
		require.NoError(t, err)
		from := counted(t, in)
		p.GoOn()
		require.Equal(t, "answer", p.Line())
		require.Greater(t, counted(t, in), from)
		require.NoError(t, in.Remove())
		require.NoError(t, in.Close())
	}
}

// TestExecution installs into a process that executes its file again and again: either that is told, or the process has ended meanwhile and
// this is. The new program is never touched.
func TestExecution(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "confined", testbuild.Options{})
	program := programIn(t, exe)
	p := testbuild.Start(t, exe, "exec", "100", "15")
	require.Equal(t, "ready", p.Line())
	installed := 0
	ended := make(chan string)
	go func() {
		line := p.Line()
		for line == "ready" {
			line = p.Line()
		}
		ended <- line
	}()
	for {
		select {
		case line := <-ended:
			require.Equal(t, "ok", line)
			require.NotZero(t, installed)
			return
		default:
		}
		in, err := Install(p.PID(), program)
		if err != nil {
			continue
		}
		installed++
		require.NoError(t, in.Remove())
		require.NoError(t, in.Close())
	}
}

// TestGone tells when a process executes another program, or ends.
func TestGone(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "confined", testbuild.Options{})
	first := programIn(t, exe)
	p := testbuild.Start(t, exe, "exec", "1", "1000")
	require.Equal(t, "ready", p.Line())
	in, err := Install(p.PID(), first)
	require.NoError(t, err)
	require.Equal(t, "ready", p.Line())
	require.Eventually(t, in.Gone, 5*time.Second, time.Millisecond) // whoever reads its memory keeps that for a moment
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
	other := exact(t, testbuild.Options{})
	program := programFor(t, other.PID())
	in, err = Install(other.PID(), program)
	require.NoError(t, err)
	require.False(t, in.Gone())
	other.Stop()
	require.Eventually(t, in.Gone, 5*time.Second, time.Millisecond)
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
	_, err = Install(other.PID(), program)
	require.ErrorIs(t, err, unix.ESRCH)
	require.ErrorIs(t, Check(other.PID(), program), unix.ESRCH)
}

// TestLossesBefore does not count what was lost while nobody read.
func TestLossesBefore(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	in, err := Install(p.PID(), program)
	require.NoError(t, err)
	require.NoError(t, in.shared.setWord(ring.OffHeaders+ring.OffDropped, 5))
	require.EqualValues(t, 5, in.Memory().Dropped())
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
	in, err = Install(p.PID(), program)
	require.NoError(t, err)
	require.Zero(t, in.Memory().Dropped())
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
}

// TestFilteredCalls installs into a process that a filter of system calls would end.
func TestFilteredCalls(t *testing.T) {
	testbuild.RequireRoot(t)
	p := confined(t, "seccomp")
	program := programFor(t, p.PID())
	for range 3 {
		cycle(t, p.PID(), program)
		p.GoOn()
		require.Equal(t, "ok", p.Line())
	}
}

// confined starts a program under restrictions.
func confined(t testing.TB, how string) *testbuild.Running {
	t.Helper()
	p := testbuild.Start(t, testbuild.Program(t, "confined", testbuild.Options{}), how)
	require.Equal(t, "ready", p.Line())
	require.Equal(t, "ok", p.Line())
	return p
}

// TestNoExecutableGain installs into a process that may have no memory executable that was writable.
func TestNoExecutableGain(t *testing.T) {
	testbuild.RequireRoot(t)
	p := confined(t, "mdwe")
	in, err := Install(p.PID(), programFor(t, p.PID()))
	require.NoError(t, err)
	p.GoOn()
	require.Equal(t, "ok", p.Line())
	require.NotZero(t, counted(t, in))
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
}

// TestBreakpointOnJump sets a uprobe on a jump, after the installation, and takes it away after the removal. Until then the process executes
// the file's instruction out of line, at the end again in its place.
func TestBreakpointOnJump(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	before := codeOf(t, p.PID(), program)
	in, err := Install(p.PID(), program)
	require.NoError(t, err)
	fd := uprobe(t, in.p, program.Sites[0].Address)
	well(t, p)
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
	require.NotEqual(t, before, codeOf(t, p.PID(), program))
	well(t, p)
	refused(t, engine.RefusedForeignBytes, p.PID(), program)
	require.NoError(t, unix.Close(fd))
	require.Equal(t, before, codeOf(t, p.PID(), program))
	well(t, p)
}

// uprobe sets one that does nothing at an address in a process (perf_event_open(2)).
func uprobe(t testing.TB, p *process, address uint64) (fd int) {
	t.Helper()
	text, err := os.ReadFile("/sys/bus/event_source/devices/uprobe/type")
	require.NoError(t, err)
	kind, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	require.NoError(t, err)
	all, err := p.mappings()
	require.NoError(t, err)
	m, ok := all.at(address)
	require.True(t, ok)
	path, err := unix.BytePtrFromString(m.path)
	require.NoError(t, err)
	attr := unix.PerfEventAttr{
		Type: uint32(kind), Size: unix.PERF_ATTR_SIZE_VER1, Ext1: uint64(uintptr(unsafe.Pointer(path))), Ext2: address - m.start + m.offset,
		Sample_type: unix.PERF_SAMPLE_IP,
	}
	fd, err = unix.PerfEventOpen(&attr, p.pid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0))
	return fd
}

// TestSuspended leaves a process stopped that a signal has stopped.
func TestSuspended(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	require.NoError(t, unix.Kill(p.PID(), unix.SIGSTOP))
	stopped := func() bool { return strings.HasPrefix(processes.StatusField("/proc/"+itoa(p.PID()), "State"), "T") }
	require.Eventually(t, stopped, time.Second, time.Millisecond)
	in, err := Install(p.PID(), program)
	require.NoError(t, err)
	require.Eventually(t, stopped, time.Second, time.Millisecond)
	before := counted(t, in)
	time.Sleep(10 * time.Millisecond)
	require.Equal(t, before, counted(t, in), "the process runs")
	require.NoError(t, unix.Kill(p.PID(), unix.SIGCONT))
	well(t, p)
	require.NotZero(t, counted(t, in))
	require.NoError(t, unix.Kill(p.PID(), unix.SIGSTOP))
	require.Eventually(t, stopped, time.Second, time.Millisecond)
	require.NoError(t, in.Remove())
	require.Eventually(t, stopped, time.Second, time.Millisecond)
	require.NoError(t, unix.Kill(p.PID(), unix.SIGCONT))
	well(t, p)
	require.NoError(t, in.Close())
}

// TestSignals stops and continues a process all the time, with other signals between, while trampolines come and go.
func TestSignals(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 600 {
			_ = unix.Kill(p.PID(), []unix.Signal{unix.SIGSTOP, unix.SIGURG, unix.SIGCONT, unix.SIGWINCH}[i%4])
			time.Sleep(200 * time.Microsecond)
		}
		_ = unix.Kill(p.PID(), unix.SIGCONT)
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			cycle(t, p.PID(), program)
		}
	}
	well(t, p)
	state := processes.StatusField("/proc/"+itoa(p.PID()), "State")
	require.NotEqual(t, "T", state[:1], fmt.Sprint(state))
}
