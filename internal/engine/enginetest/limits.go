//go:build linux

package enginetest

import (
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// limits are about what there is no room for.
var limits = []subtest{
	{"LimitOfAProcess", limitOfAProcess},
	{"LimitOfAll", limitOfAll},
	{"LimitOfEvents", limitOfEvents},
}

// limitOfAProcess has two processes, of which one has more goroutines than it may: the other has room for all of its own nevertheless.
func limitOfAProcess(t *test) {
	const limit = 1024
	o := options
	o.MaxGoroutines, o.MaxGoroutinesPerProcess = 2*limit, limit
	e := t.engine(o)
	built := t.build("family")
	a := t.attach(e, built, engine.AttachOptions{})
	for _, test := range []struct {
		children int
		fits     bool
	}{{4 * limit, false}, {limit / 2, true}} {
		p := built.again("1", strconv.Itoa(test.children))
		p.Line()
		f := t.followBy(e, a, p, engine.Settings{})
		require.NoError(t, f.Throttle(0))
		p.step("waiting")
		require.Equal(t, test.fits, f.counts().Untracked == 0, "%d goroutines are not tracked", f.counts().Untracked)
		known := 0
		require.NoError(t, e.Goroutines(func(id engine.ID, _ waitstats.Goroutine) {
			if id == f.ID() {
				known++
			}
		}))
		require.LessOrEqual(t, known, limit)
		require.GreaterOrEqual(t, known, limit/2)
		require.ErrorIs(t, f.adoptUntilFull(2*limit), engine.ErrTooMany)
	}
}

// adoptUntilFull adopts goroutines that do not exist, until there is no room or there are so many.
func (f *followed) adoptUntilFull(most int) error {
	for i := range most {
		if _, err := f.Adopt(engine.Goroutine{G: uint64(i+1) << 20, State: lifecycle.Waiting}); err != nil {
			return err
		}
	}
	return nil
}

// limitOfAll lets one process take all the room.
func limitOfAll(t *test) {
	o := options
	o.MaxGoroutines, o.MaxGoroutinesPerProcess = 1024, 1<<20
	f := t.follow(t.family(), o, engine.Settings{})
	require.ErrorIs(t, f.adoptUntilFull(8*o.MaxGoroutines), engine.ErrTooMany)
	f.step("waiting")
	require.Positive(t, f.counts().Untracked)
}

// limitOfEvents reads none while there are more than there is room for: all goroutines count nevertheless.
func limitOfEvents(t *test) {
	const pairs = 200
	o := options
	o.BufferSize = 1 << 16
	f := t.follow(t.program("storm", strconv.Itoa(pairs), "100"), o, everything)
	f.step("done")
	t.eventually("all exit", func() bool { return f.counts().Exited >= 2*pairs })
	n := f.counts()
	require.Positive(t, n.EventsLost+n.TreesWithheld)
	require.EqualValues(t, 2*pairs, n.Created)
	require.Zero(t, n.Resynchronized)
}
