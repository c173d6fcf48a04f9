//go:build linux && amd64

package inject

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

const (
	jumpSize   = 5
	jumpOpcode = 0xe9
	breakpoint = 0xcc
)

// jumpsTo returns where code at an address jumps to, if it is a jump with nothing but breakpoints behind it.
func jumpsTo(address uint64, code []byte) (to uint64, ok bool) {
	if len(code) < jumpSize || code[0] != jumpOpcode {
		return 0, false
	}
	for _, b := range code[jumpSize:] {
		if b != breakpoint {
			return 0, false
		}
	}
	return address + jumpSize + uint64(int64(int32(binary.LittleEndian.Uint32(code[1:])))), true
}

// swap replaces code at an address.
type swap struct {
	address  uint64
	from, to []byte
}

// write does all of them, which may be done already, or none. All threads are stopped.
func (t *tracer) write(all []swap) error {
	found, err := t.p.find(all)
	if err != nil {
		return err
	}
	for i, s := range all {
		there, err := found[i].b, found[i].err
		if err != nil {
			return err
		}
		if !bytes.Equal(there, s.from) && !bytes.Equal(there, s.to) {
			return engine.Refuse(engine.RefusedForeignBytes, "at %#x there is % x instead of % x", s.address, there, s.from)
		}
	}
	for i, s := range all {
		if err := t.put(s.address, s.to); err != nil {
			for _, done := range all[:i] {
				err = errors.Join(err, t.put(done.address, done.from))
			}
			return err
		}
	}
	return nil
}

// restore does all that can be done. All threads are stopped. Of what a breakpoint was set on since, such as a uprobe, all but that is put
// back: whoever takes the breakpoint away puts the executable's own byte in its place.
func (t *tracer) restore(all []swap) error {
	found, err := t.p.find(all)
	if err != nil {
		return err
	}
	var errs []error
	for i, s := range all {
		there, err := found[i].b, found[i].err
		switch {
		case err != nil:
			errs = append(errs, err)
		case bytes.Equal(there, s.to):
		case bytes.Equal(there, s.from):
			errs = append(errs, t.put(s.address, s.to))
		case there[0] == breakpoint && (bytes.Equal(there[1:], s.from[1:]) || bytes.Equal(there[1:], s.to[1:])):
			errs = append(errs, t.put(s.address+1, s.to[1:]))
		default:
			errs = append(errs, engine.Refuse(engine.RefusedForeignBytes, "at %#x there is % x instead of % x", s.address, there, s.from))
		}
	}
	return errors.Join(errs...)
}

// find reads what is at the addresses.
func (p *process) find(all []swap) ([]part, error) {
	parts := make([]part, 0, len(all))
	for _, s := range all {
		parts = append(parts, part{address: s.address, b: make([]byte, len(s.from))})
	}
	return parts, p.readAll(parts)
}

// put overwrites what was read just now. All threads are stopped.
func (t *tracer) put(address uint64, b []byte) error {
	step()
	return t.p.overwrite(address, b)
}
