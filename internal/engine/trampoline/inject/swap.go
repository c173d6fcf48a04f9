//go:build linux

package inject

import (
	"bytes"
	"errors"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

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
// back: whoever takes the breakpoint away puts the executable's own code in its place.
func (t *tracer) restore(all []swap) error {
	found, err := t.p.find(all)
	if err != nil {
		return err
	}
	var errs []error
	for i, s := range all {
		there, err := found[i].b, found[i].err
		n := hidden(there)
		switch {
		case err != nil:
			errs = append(errs, err)
		case bytes.Equal(there, s.to):
		case bytes.Equal(there, s.from):
			errs = append(errs, t.put(s.address, s.to))
		case n > 0 && (bytes.Equal(there[n:], s.from[n:]) || bytes.Equal(there[n:], s.to[n:])):
			errs = append(errs, t.put(s.address+uint64(n), s.to[n:]))
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
