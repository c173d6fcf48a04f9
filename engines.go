//go:build linux

package goroutinereceiver

import (
	"errors"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/combined"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/uprobe"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/session"
)

// engines makes what sees goroutines change their state.
type engines struct {
	uprobe     func(engine.Options) (engine.Engine, error)
	trampoline func(trampoline.Options) (engine.Engine, error)
	// refused is called if the machine does not permit trampolines.
	refused func(error)
	logger  *zap.Logger
}

func (s *shared) engines() engines {
	return engines{
		uprobe:     func(o engine.Options) (engine.Engine, error) { return uprobe.New(o) },
		trampoline: func(o trampoline.Options) (engine.Engine, error) { return trampoline.New(o) },
		refused:    func(err error) { s.refused(processes.Process{}, err) },
		logger:     s.set.Logger,
	}
}

// open makes the engine of a kind, and tells which processes are to be seen by trampolines.
func (e engines) open(kind Engine, o trampoline.Options) (engine.Engine, session.Trampolines, error) {
	switch kind {
	case engineTrampoline:
		opened, err := e.openTrampolines(o)
		return opened, session.TrampolinesOnly, err
	case engineAuto:
		return e.openBoth(o)
	}
	opened, err := e.uprobe(o.Options)
	return opened, session.NoTrampolines, err
}

// openBoth makes both engines. On a machine that does not permit trampolines there is only the other.
func (e engines) openBoth(o trampoline.Options) (engine.Engine, session.Trampolines, error) {
	kernel, err := e.uprobe(o.Options)
	if err != nil {
		return nil, session.NoTrampolines, err
	}
	both, err := e.combine(kernel, o)
	if err == nil {
		return both, session.TrampolinesAtCost, nil
	}
	if refused := (*engine.Refusal)(nil); errors.As(err, &refused) {
		e.logger.Warn("This machine does not permit trampolines: less is seen of programs whose probes cost too much", zap.Error(err))
		e.refused(err)
		return kernel, session.NoTrampolines, nil
	}
	return nil, session.NoTrampolines, errors.Join(err, kernel.Close())
}

// openTrampolines makes the engine with trampolines, with one of the kernel beside it that only tells which processes execute programs. Without
// the privilege for that, there is none.
func (e engines) openTrampolines(o trampoline.Options) (engine.Engine, error) {
	kernel, err := e.uprobe(engine.Options{
		MaxGoroutines: minGoroutines, MaxGoroutinesPerProcess: minGoroutines, BufferSize: minRingBuffer, Logger: o.Logger,
	})
	if err != nil {
		e.logger.Info("New processes are found by looking at all from time to time: the kernel does not tell of them", zap.Error(err))
		o.FirstID = combined.FirstUserID
		return e.trampoline(o)
	}
	both, err := e.combine(kernel, o)
	if err != nil {
		return nil, errors.Join(err, kernel.Close())
	}
	return both, nil
}

// combine makes one engine of the kernel's and one with trampolines.
func (e engines) combine(kernel engine.Engine, o trampoline.Options) (engine.Engine, error) {
	return combined.New(kernel, func(ready func()) (engine.Engine, error) {
		o.Ready, o.FirstID = ready, combined.FirstUserID
		return e.trampoline(o)
	})
}
