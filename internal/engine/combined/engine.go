// Package combined makes one engine of two: one with probes in the kernel, which also knows which processes execute programs and end, and
// one with trampolines in the processes themselves. Each attachment is of one of them.
package combined

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// FirstUserID is the least id that the engine with trampolines gives a process; those of the kernel's engine lie below.
const FirstUserID engine.ID = 1 << 31

// Engine is both engines. It implements engine.Engine.
type Engine struct {
	kernel, user engine.Engine

	// woken tells that Wake was called since Next returned, ready that the user's engine has had events since it was asked: a look at the
	// kernel's engine that does not wait may have taken the wake-up that belongs to it.
	woken, ready atomic.Bool

	// Used by the goroutine that calls Next only.
	turn turn
}

// New returns an Engine of the kernel's engine and the one that newUser makes. That calls ready whenever it has events to be read, from any
// goroutine. Both are closed with the Engine; if newUser fails, the kernel's engine is left as it is.
func New(kernel engine.Engine, newUser func(ready func()) (engine.Engine, error)) (*Engine, error) {
	e := &Engine{kernel: kernel}
	var err error
	if e.user, err = newUser(e.wakeForUser); err != nil {
		return nil, err
	}
	e.turn.engines = [...]engine.Engine{e.kernel, e.user}
	return e, nil
}

// of returns the engine that an id is of.
func (e *Engine) of(id engine.ID) engine.Engine {
	if id >= FirstUserID {
		return e.user
	}
	return e.kernel
}

// Attach implements engine.Engine.
func (e *Engine) Attach(b *goexe.Binary, path string, o engine.AttachOptions) (engine.Attachment, error) {
	if o.Trampolines {
		return e.user.Attach(b, path, o)
	}
	return e.kernel.Attach(b, path, o)
}

// Next implements engine.Engine. It waits in the kernel's engine, which the user's wakes.
func (e *Engine) Next(to *lifecycle.Event, until time.Time) (bool, error) {
	for {
		if is, err := e.turn.next(to); is || err != nil {
			return is, err
		}
		if e.woken.Swap(false) {
			return false, nil
		}
		if e.ready.Swap(false) {
			continue
		}
		if is, err := e.kernel.Next(to, until); is || err != nil {
			return is, err
		}
		if !time.Now().Before(until) {
			return false, nil
		}
	}
}

// Wake implements engine.Engine.
func (e *Engine) Wake() {
	e.woken.Store(true)
	e.kernel.Wake()
}

// wakeForUser makes a Next that waits look at the user's engine.
func (e *Engine) wakeForUser() {
	if !e.ready.Swap(true) {
		e.kernel.Wake()
	}
}

// Distributions implements engine.Engine.
func (e *Engine) Distributions() (engine.Distributions, error) {
	all, err := e.kernel.Distributions()
	if err != nil {
		return nil, err
	}
	more, err := e.user.Distributions()
	if err != nil {
		return nil, err
	}
	maps.Copy(all, more)
	return all, nil
}

// Goroutines implements engine.Engine.
func (e *Engine) Goroutines(visit func(engine.ID, waitstats.Goroutine)) error {
	return errors.Join(e.kernel.Goroutines(visit), e.user.Goroutines(visit))
}

// Reject implements engine.Engine.
func (e *Engine) Reject(pid int, id engine.ID) error { return e.of(id).Reject(pid, id) }

// Release implements engine.Engine.
func (e *Engine) Release(pid int, id engine.ID) error { return e.of(id).Release(pid, id) }

// Memory implements engine.Engine.
func (e *Engine) Memory() uint64 { return e.kernel.Memory() + e.user.Memory() }

// Close implements engine.Engine.
func (e *Engine) Close() error {
	if err := errors.Join(e.user.Close(), e.kernel.Close()); err != nil {
		return fmt.Errorf("close the engines: %w", err)
	}
	return nil
}
