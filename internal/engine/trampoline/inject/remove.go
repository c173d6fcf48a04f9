//go:build linux

package inject

import (
	"errors"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// Gone tells whether the process has ended or executes another program. It is safe for concurrent use.
func (in *Installed) Gone() bool { return in.p.gone() }

// Remove puts the process's own instructions back; there is nothing to do if it is Gone. What was recorded can be read until Close. After an
// error some may still be replaced, and it can be called again: a thread may not have stopped, a breakpoint may lie on a jump by now, or the memory
// does not answer.
func (in *Installed) Remove() error {
	var result error
	if !in.removals.Do(removeLimit, func() { result = in.tryRemove() }) {
		return errNoAnswer
	}
	return result
}

func (in *Installed) tryRemove() error {
	const (
		tries = 5
		pause = 5 * time.Millisecond
	)
	var err error
	for n := range tries {
		if in.removed.Load() {
			return nil
		}
		if n > 0 {
			time.Sleep(pause)
		}
		err = in.remove()
		if err == nil || in.Gone() {
			in.removed.Store(true)
			return nil
		}
		if r := (*engine.Refusal)(nil); errors.As(err, &r) || errors.Is(err, errNoAnswer) {
			return err
		}
	}
	return err
}

func (in *Installed) remove() error {
	if in.Gone() {
		return errGone
	}
	if _, err := in.p.find(in.jumps); err != nil { // nothing is asked, and no thread stopped, for memory that does not answer
		return err
	}
	if err := in.p.locate(); err != nil {
		return err
	}
	slots, err := in.p.slots()
	if err != nil {
		return err
	}
	err = in.p.trace(func(t *tracer) error {
		if err := t.stopAll(); err != nil {
			return err
		}
		if err := t.restore(reverse(in.jumps)); err != nil {
			return err
		}
		// Whoever is in a trampoline may have reserved a slot that a later reader would wait for. It stays mapped for those that cannot be seen.
		// Neither that nor what old stubs left makes the removal fail: the process has its own code again.
		_, _ = t.leave(in.shared.text, in.shared.text+TextSize)
		_ = t.clean(slots)
		return nil
	})
	if err != nil {
		return err
	}
	return in.shared.setWord(ring.OffDeadline, 0)
}

func reverse(swaps []swap) (back []swap) {
	for _, s := range swaps {
		back = append(back, swap{s.address, s.to, s.from})
	}
	return back
}

// Close lets go of the shared memory. After Remove, its slots have no pages then. Without Remove all stays as it is in the process, for the
// next installation to take over, as when this process is killed.
func (in *Installed) Close() error {
	var errs []error
	if in.memory != nil {
		if in.removed.Load() {
			errs = append(errs, in.memory.Punch())
		}
		errs = append(errs, in.memory.Close())
	}
	if in.shared != nil {
		errs = append(errs, in.shared.close())
	}
	return errors.Join(append(errs, in.p.close())...)
}
