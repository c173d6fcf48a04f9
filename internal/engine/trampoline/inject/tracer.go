//go:build linux

package inject

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// What package unix has no names for on all platforms (include/uapi/linux/ptrace.h).
const (
	requestGetSigMask   = 0x420a
	requestSetSigMask   = 0x420b
	eventStop           = unix.PTRACE_EVENT_STOP
	signalOfSystemCalls = unix.SIGTRAP | 0x80
)

const (
	// oneLimit is how long a thread that is needed may take to stop; there are others.
	oneLimit = 200 * time.Millisecond
	// allLimit bounds how long a process is held while its threads stop.
	allLimit = time.Second
	// traceLimit bounds all that is done with threads at a time. Only to seize one can wait for long, for as long as one of them reads a
	// program's file to execute it.
	traceLimit = 10 * time.Second
)

var (
	// errThread is that of a thread which exits.
	errThread = errors.New("the thread exits")
	// errAsleep is that of a thread in an uninterruptible sleep, as for a vfork. It has an interruption pending, and so runs none of its own
	// code before it has stopped.
	errAsleep = errors.New("the thread sleeps in the kernel")
	// errBusy is that of a thread which does not stop in time.
	errBusy = errors.New("a thread does not stop")
)

// thread is one that is traced.
type thread struct {
	id      int
	stopped bool
	// suspended tells that a signal such as SIGSTOP has stopped the whole process: it must not go on.
	suspended bool
	// asleep tells that it sleeps in the kernel, with an interruption pending.
	asleep bool
}

// tracer has seized threads of a process. All its calls come from one OS thread.
type tracer struct {
	p       *process
	threads map[int]*thread
	reaper  *reaper
	// abandoned tells that nobody waits for it any more: it must not go on.
	abandoned atomic.Bool
}

// trace calls f with a tracer, and lets go of all threads then. When another program is executed, the threads fail in many ways.
func (p *process) trace(f func(*tracer) error) error {
	t := &tracer{p: p, threads: map[int]*thread{}}
	var err error
	ended := p.traces.Do(traceLimit, func() {
		err = <-onThread(func() (bool, error) {
			t.reaper = newReaper()
			defer t.reaper.stop()
			err := errors.Join(f(t), t.detach())
			return len(t.threads) > 0, err
		})
	})
	if !ended {
		t.abandoned.Store(true)
		return fmt.Errorf("%w: somebody executes a program, or memory does not answer, for long", errBusy)
	}
	if err != nil && p.gone() {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}

// onThread calls f on an OS thread that ends then: the kernel lets go of what it still traces, stopped or not. It sends f's error; if f says
// that there is something, when that is so.
func onThread(f func() (left bool, err error)) <-chan error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		id := unix.Gettid()
		if id == os.Getpid() { // the first thread of a program never ends
			ended <- <-onThread(f)
			runtime.UnlockOSThread()
			return
		}
		left, err := f()
		if !left {
			ended <- err
			return
		}
		go func() {
			awaitEnd(id)
			ended <- err
		}()
	}()
	return ended
}

// awaitEnd waits for a moment for the end of a thread of this process.
func awaitEnd(id int) {
	for range 1000 {
		if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(id)); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// ptrace makes a request that may change something.
func (t *tracer) ptrace(request, thread int, address, data uintptr) error {
	if t.abandoned.Load() {
		return errBusy
	}
	step()
	return look(request, thread, address, data)
}

// look makes a request that changes nothing.
func look(request, thread int, address, data uintptr) error {
	if _, _, e := syscall.Syscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(thread), address, data, 0, 0); e != 0 {
		return e
	}
	return nil
}

// filtered tells whether a thread's system calls are filtered.
func (p *process) filtered(id int) bool {
	s := processes.StatusField(p.proc+"/task/"+strconv.Itoa(id), "Seccomp")
	return s != "0" && s != ""
}

// status returns a field of the process's status.
func (p *process) status(name string) string { return processes.StatusField(p.proc, name) }

// ids returns the ids of all threads.
func (p *process) ids() ([]int, error) {
	entries, err := os.ReadDir(p.proc + "/task")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	ids := make([]int, 0, len(entries))
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// state returns how the kernel calls what a thread does (proc_pid_stat(5)), 0 if there is none.
func (p *process) state(id int) byte {
	s := processes.StatusField(p.proc+"/task/"+strconv.Itoa(id), "State")
	if s == "" {
		return 0
	}
	return s[0]
}

func (p *process) dead(id int) bool {
	s := p.state(id)
	return s == 0 || s == 'Z' || s == 'X'
}

// seize begins to trace a thread, with further options.
func (t *tracer) seize(id int, options uintptr) (*thread, error) {
	var err error
	for range 3 { // a thread that takes the first one's place to execute a program is denied for a moment, as that is dead
		if err = t.ptrace(unix.PTRACE_SEIZE, id, 0, unix.PTRACE_O_TRACESYSGOOD|options); err == nil {
			th := &thread{id: id}
			t.threads[id] = th
			if id != t.p.pid { // the end of a process is its parent's
				t.reaper.add(id)
			}
			return th, nil
		}
		if t.p.dead(id) || t.p.gone() {
			return nil, errThread
		}
		time.Sleep(time.Millisecond)
	}
	return nil, t.p.refusal(id, options, err)
}

// refusal tells why a thread cannot be traced.
func (p *process) refusal(id int, options uintptr, err error) error {
	tracer := processes.StatusField(p.proc+"/task/"+strconv.Itoa(id), "TracerPid")
	switch {
	case tracer != "" && tracer != "0":
		return engine.Refuse(engine.RefusedTraced, "thread %d is traced by %s", id, tracer)
	case options&unix.PTRACE_O_SUSPEND_SECCOMP != 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM)):
		return engine.Refuse(engine.RefusedSeccomp, "the filter of its system calls cannot be suspended: %w", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return refusePermission(err)
	}
	return fmt.Errorf("seize thread %d: %w", id, err)
}

// seizeAll seizes all threads that are not yet, and reports whether there were any.
func (t *tracer) seizeAll() (more bool, err error) {
	ids, err := t.p.ids()
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		if t.threads[id] != nil {
			continue
		}
		if _, err := t.seize(id, 0); errors.Is(err, errThread) {
			continue
		} else if err != nil {
			return false, err
		}
		more = true
	}
	return more, nil
}

// stop stops a thread.
func (t *tracer) stop(th *thread, until time.Time) error {
	if th.stopped {
		return nil
	}
	if err := t.ptrace(unix.PTRACE_INTERRUPT, th.id, 0, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("interrupt thread %d: %w", th.id, err)
	}
	return t.await(th, until)
}

// stopAll stops all threads, also those that are created meanwhile. Those that sleep in the kernel count as stopped.
func (t *tracer) stopAll() error {
	for until := time.Now().Add(allLimit); time.Now().Before(until); {
		more, err := t.seizeAll()
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		if err := t.interruptAll(); err != nil {
			return err
		}
		for _, th := range t.threads {
			if th.stopped || th.asleep {
				continue
			}
			switch err := t.await(th, until); {
			case errors.Is(err, errAsleep):
				th.asleep = true
			case err != nil && !errors.Is(err, errThread):
				return err
			}
		}
	}
	return fmt.Errorf("%w: there are ever more", errBusy)
}

func (t *tracer) interruptAll() error {
	for _, th := range t.threads {
		if th.stopped || th.asleep {
			continue
		}
		if err := t.ptrace(unix.PTRACE_INTERRUPT, th.id, 0, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("interrupt thread %d: %w", th.id, err)
		}
	}
	return nil
}

// await waits until an interrupted thread has stopped. Signals that come first are delivered: it then stops in their handlers.
func (t *tracer) await(th *thread, until time.Time) error {
	for {
		status, err := t.wait(th, until)
		if err != nil {
			return err
		}
		signal := uintptr(status.StopSignal())
		switch event := int(status) >> 16; {
		case event == eventStop:
			th.stopped, th.suspended = true, signal != uintptr(unix.SIGTRAP)
			return nil
		case event != 0, signal == uintptr(signalOfSystemCalls):
			signal = 0
		}
		if err := t.ptrace(unix.PTRACE_CONT, th.id, 0, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("go on with thread %d: %w", th.id, err)
		}
	}
}

// wait waits for what a thread does next. The error is errThread if it exits.
func (t *tracer) wait(th *thread, until time.Time) (status unix.WaitStatus, err error) {
	const (
		pause      = 20 * time.Microsecond
		spins      = 100
		betweenAsk = 16
	)
	for n := 0; ; n++ {
		id, err := unix.Wait4(th.id, &status, unix.WALL|unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil, id != 0 && !status.Stopped():
			delete(t.threads, th.id)
			return status, errThread
		case id != 0:
			return status, nil
		case n < spins:
			continue
		}
		if n%betweenAsk == 0 {
			switch t.p.state(th.id) {
			case 'D':
				return status, errAsleep
			case 'Z', 'X': // its death is told when that of the last other thread is
				delete(t.threads, th.id)
				return status, errThread
			}
		}
		if time.Now().After(until) {
			return status, fmt.Errorf("%w: %d", errBusy, th.id)
		}
		time.Sleep(pause)
	}
}

// detach lets go of the threads that are stopped.
func (t *tracer) detach() error {
	var errs []error
	for id, th := range t.threads {
		if th.stopped {
			errs = append(errs, t.letGo(id, 0))
		}
	}
	return errors.Join(errs...)
}

// letGo ends tracing a stopped thread, with a signal for it. The kernel begins its system call again, if that was interrupted, and keeps it
// stopped, if the whole process is.
func (t *tracer) letGo(id int, signal unix.Signal) error {
	delete(t.threads, id)
	if err := t.ptrace(unix.PTRACE_DETACH, id, 0, uintptr(signal)); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("detach from thread %d: %w", id, err)
	}
	return nil
}
