//go:build linux

package inject

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// leave lets threads, all of which are stopped, run until none is at an address from begin to end, and reports whether that is so. It
// cannot be said of those that sleep in the kernel, and those that a signal has stopped must not run.
func (t *tracer) leave(begin, end uint64) (out bool, err error) {
	out = true
	for _, th := range t.threads {
		left, err := t.leaves(th, begin, end)
		if err != nil && !errors.Is(err, errThread) {
			return false, err
		}
		out = out && left
	}
	return out, nil
}

// leaves does that for one thread. It is never stepped: should this process die, the step's trap would be the thread's end.
func (t *tracer) leaves(th *thread, begin, end uint64) (bool, error) {
	const tries = 100
	for range tries {
		if !th.stopped {
			return false, nil
		}
		r, err := readRegisters(th.id)
		if errors.Is(err, unix.ESRCH) {
			return true, nil
		} else if err != nil {
			return false, fmt.Errorf("read registers: %w", err)
		}
		if r.pc() < begin || r.pc() >= end {
			return true, nil
		}
		if th.suspended {
			return false, nil
		}
		if err := t.ptrace(unix.PTRACE_CONT, th.id, 0, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return false, fmt.Errorf("go on with thread %d: %w", th.id, err)
		}
		th.stopped = false
		runtime.Gosched()
		switch err := t.stop(th, time.Now().Add(oneLimit)); {
		case errors.Is(err, errAsleep):
			th.asleep = true
		case errors.Is(err, errThread):
			return true, nil
		case err != nil:
			return false, err
		}
	}
	return false, nil
}
