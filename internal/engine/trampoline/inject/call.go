//go:build linux

package inject

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// callLimit bounds how long an injected system call may take.
const callLimit = 2 * time.Second

// caller is a thread that is stopped and makes system calls for this process.
type caller struct {
	t    *tracer
	th   *thread
	stub uint64
	// saved is what it is given back.
	saved  registers
	mask   uint64
	masked bool
	// signal came meanwhile and cannot be masked.
	signal unix.Signal
}

// borrow stops some thread of the process and calls f with it. text is a string in the process's memory meanwhile.
func (p *process) borrow(text string, f func(c *caller) error) error {
	at, err := p.spare()
	if err != nil {
		return err
	}
	return p.trace(func(t *tracer) error {
		th, err := t.any()
		if err != nil {
			return err
		}
		return t.lend(th, at, text, f)
	})
}

// lend calls f with a thread that is stopped, with a stub at an address, and lets go of it.
func (t *tracer) lend(th *thread, stub uint64, text string, f func(c *caller) error) error {
	c := &caller{t: t, th: th, stub: stub}
	if err := c.begin(text); err != nil {
		return err
	}
	err := f(c)
	return errors.Join(err, c.end())
}

// any stops a thread. It is not the first one, but if there is no other: when another thread executes a program, it gets the first one's id,
// and must not be taken for that.
func (t *tracer) any() (*thread, error) {
	ids, err := t.p.ids()
	if err != nil {
		return nil, err
	}
	const tries = 5
	var errs []error
	for _, id := range ids {
		if len(errs) == tries {
			break
		}
		if t.p.state(id) == 'D' || id == t.p.pid && len(ids) > 1 {
			continue
		}
		options := uintptr(0)
		if t.p.filtered(id) {
			options = unix.PTRACE_O_SUSPEND_SECCOMP
		}
		th, err := t.seize(id, options)
		if err == nil {
			err = t.stop(th, time.Now().Add(oneLimit))
		}
		if err == nil {
			return th, nil
		}
		if r := (*engine.Refusal)(nil); errors.As(err, &r) {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("none of %d threads stops: %w", len(ids), errors.Join(append(errs, errBusy)...))
}

// begin saves the thread, and writes the stub that restores it. The thread may be that of another program by now: it must have the stub in
// its memory.
func (c *caller) begin(text string) error {
	var err error
	if c.saved, err = readRegisters(c.th.id); err != nil {
		return c.lost(fmt.Errorf("read registers: %w", err))
	}
	if err := look(requestGetSigMask, c.th.id, unsafe.Sizeof(c.mask), uintptr(unsafe.Pointer(&c.mask))); err != nil {
		return c.lost(fmt.Errorf("read signal mask: %w", err))
	}
	if err := c.t.p.write(c.stub, stub(&c.saved, c.mask, text)); err != nil {
		return err
	}
	var there [8]byte
	err = look(unix.PTRACE_PEEKDATA, c.th.id, uintptr(c.stub), uintptr(unsafe.Pointer(&there)))
	if err != nil || !bytes.HasPrefix(stubCode, there[:]) {
		return errGone
	}
	return nil
}

// text is the address of the string.
func (c *caller) text() uint64 { return c.stub + offString }

// call makes a system call. The thread runs up to the call's end by PTRACE_SYSCALL: should this process die, a single step would end in a
// SIGTRAP that nobody expects.
func (c *caller) call(number uint64, arguments ...uint64) (uint64, error) {
	r := c.saved.calling(c.stub, number, arguments)
	if err := c.setRegisters(&r); err != nil {
		return 0, err
	}
	if err := c.setMask(^uint64(0)); err != nil { // after the registers: from here on the stub undoes it
		return 0, err
	}
	until := time.Now().Add(callLimit)
	for range 2 { // the call's begin and its end
		if err := c.resume(until); err != nil {
			return 0, err
		}
	}
	r, err := readRegisters(c.th.id)
	if err != nil {
		return 0, fmt.Errorf("read registers: %w", err)
	}
	if r.pc() != c.stub+uint64(len(syscallCode)) {
		return 0, fmt.Errorf("an injected system call ended at %#x", r.pc())
	}
	if n := -int64(r.result()); n > 0 && n < pageSize {
		return 0, unix.Errno(n)
	}
	return r.result(), nil
}

// resume lets the thread run to the next begin or end of a system call.
func (c *caller) resume(until time.Time) error {
	for {
		if err := c.t.ptrace(unix.PTRACE_SYSCALL, c.th.id, 0, 0); err != nil {
			return c.lost(err)
		}
		c.th.stopped = false
		status, err := c.t.wait(c.th, until)
		for errors.Is(err, errAsleep) && time.Now().Before(until) {
			time.Sleep(time.Millisecond)
			status, err = c.t.wait(c.th, until)
		}
		if err != nil {
			return c.lost(err)
		}
		c.th.stopped = true
		switch s := status.StopSignal(); {
		case s == signalOfSystemCalls:
			return nil
		case int(status)>>16 == 0: // one that cannot be masked
			c.signal = s
		}
	}
}

// lost tells what an error about the thread means: if it exits, so does the process.
func (c *caller) lost(err error) error {
	if errors.Is(err, errThread) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return fmt.Errorf("injected system call: %w", err)
}

func (c *caller) setRegisters(r *registers) error {
	step()
	if err := writeRegisters(c.th.id, r); err != nil {
		return c.lost(fmt.Errorf("set registers: %w", err))
	}
	return nil
}

func (c *caller) setMask(mask uint64) error {
	if err := c.t.ptrace(requestSetSigMask, c.th.id, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask))); err != nil {
		return c.lost(fmt.Errorf("set signal mask: %w", err))
	}
	c.masked = mask != c.mask
	return nil
}

// end gives the thread back its signals and registers, in this order, and lets it go. Its registers are those of an interrupted system
// call again if it was in one: the kernel then begins that again, or not, as at the end of any interruption. What does not stop is left to
// the stub.
func (c *caller) end() error {
	if !c.th.stopped {
		if err := c.t.stop(c.th, time.Now().Add(oneLimit)); err != nil {
			return err
		}
	}
	if c.masked {
		if err := c.setMask(c.mask); err != nil {
			return err
		}
	}
	if err := c.setRegisters(&c.saved); err != nil {
		return err
	}
	// The thread is out of the stub. Another collector that uses the same place has to wait for it.
	if err := c.t.p.write(c.stub, make([]byte, stubSize)); err != nil {
		return err
	}
	return c.t.letGo(c.th.id, c.signal)
}
