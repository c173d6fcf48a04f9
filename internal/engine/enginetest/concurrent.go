//go:build linux

package enginetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// concurrentUse calls all that an engine has while one goroutine reads events and another process comes and goes.
func concurrentUse(t *test) {
	const times = 20
	f := t.follow(t.program("storm", "8", "1000000000"), options, everything)
	f.GoOn() // and goes on until it is ended
	var done atomic.Bool
	reading := make(chan error, 1)
	go func() { reading <- readUntil(f.engine, &done) }()
	var users sync.WaitGroup
	for _, use := range append(f.reads(), f.changes(t.program("family", "1", "1"))...) {
		users.Go(func() {
			for range times {
				if err := use(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	users.Wait()
	done.Store(true)
	require.NoError(t, <-reading)
}

// readUntil reads events until there is enough of it.
func readUntil(e engine.Engine, done *atomic.Bool) error {
	for !done.Load() {
		var event lifecycle.Event
		if _, err := e.Next(&event, time.Now().Add(20*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

// reads are all calls that ask for something.
func (f *followed) reads() []func() error {
	found := f.look()[0]
	last := uint64(0)
	return []func() error{
		func() error {
			n, err := f.Counts()
			if n.Transitions < last {
				return errors.New("counts go back")
			}
			last = n.Transitions
			return err
		},
		func() error { _, err := f.engine.Distributions(); return err },
		func() error { _, err := f.Distributions(); return err },
		func() error { return f.engine.Goroutines(func(engine.ID, waitstats.Goroutine) {}) },
		func() error { f.Status(found.G, found.GoID); return nil },
		func() error { f.AsSeen(found); f.Followed(); return nil },
		func() error { _, err := f.attachment.HitsOfOthers(); return err },
		func() error { f.engine.Memory(); f.attachment.HitCost(); return nil },
	}
}

// changes are all calls that do something; those that end to follow are done to another program.
func (f *followed) changes(other *program) []func() error {
	found := f.look()
	return []func() error{
		func() error { f.engine.Wake(); return nil },
		func() error { _, err := f.Adopt(found[0]); return err },
		func() error { _, err := f.Repair(lifecycle.Now(), found); return err },
		func() error { return f.Throttle(0.5) },
		func() error {
			a, err := f.engine.Attach(other.binary, other.exe, engine.AttachOptions{Syscalls: true})
			if err != nil {
				return err
			}
			p, err := a.Follow(other.PID(), 0, everything)
			if err == nil {
				err = p.Unfollow()
			}
			return errors.Join(err, a.FollowNewcomers(everything), a.IgnoreNewcomers(), a.Close())
		},
	}
}
