//go:build linux

package inject

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// clean removes the stubs that tracers left who died, if no thread is in them.
func (p *process) clean(slots []uint64) error {
	return p.trace(func(t *tracer) error {
		if err := t.stopAll(); err != nil {
			return err
		}
		return t.clean(slots)
	})
}

// clean does that while all threads are stopped.
func (t *tracer) clean(slots []uint64) error {
	parts := make([]part, 0, len(slots))
	for _, at := range slots {
		parts = append(parts, part{address: at, b: make([]byte, stubSize)})
	}
	if err := t.p.readAll(parts); err != nil {
		return err
	}
	for i, at := range slots {
		b, err := parts[i].b, parts[i].err
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(b, stubCode) {
			continue
		}
		if out, err := t.leave(at, at+stubSize); err != nil {
			return err
		} else if !out {
			continue
		}
		if returns, err := t.returnTo(at, at+stubSize); err != nil {
			return err
		} else if returns {
			continue
		}
		if err := t.put(at, make([]byte, stubSize)); err != nil {
			return err
		}
	}
	return nil
}

// returnTo tells whether a stopped thread may be in the handler of a signal that came while it was at an address from begin to end: that is
// where a stub is left for a moment by signals that it has unmasked. The kernel has put the address on the stack that the handler uses.
func (t *tracer) returnTo(begin, end uint64) (bool, error) {
	for _, th := range t.threads {
		if !th.stopped {
			return true, nil
		}
		r, err := readRegisters(th.id)
		if errors.Is(err, unix.ESRCH) {
			continue
		} else if err != nil {
			return false, fmt.Errorf("read registers: %w", err)
		}
		if t.p.anyWord(r.stack()&^7, begin, end) {
			return true, nil
		}
	}
	return false, nil
}

// anyWord tells whether the stack above an address has a word from begin to end. Handlers use no more of it than is looked at: the stack that
// Go has for them is one of 32 KiB.
func (p *process) anyWord(stack, begin, end uint64) bool {
	const deepest = 64 << 10
	for from := stack; from < stack+deepest; {
		next := (from + pageSize) &^ (pageSize - 1)
		words, err := p.read(from, int(next-from))
		if err != nil {
			return false // the stack's end
		}
		for ; len(words) > 0; words = words[8:] {
			if w := binary.LittleEndian.Uint64(words); w >= begin && w < end {
				return true
			}
		}
		from = next
	}
	return false
}
