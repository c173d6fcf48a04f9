//go:build linux

package enginetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
)

// looks are about goroutines that are found in a process's memory.
var looks = []subtest{
	{"Adopt", adopt},
	{"AdoptKnown", adoptKnown},
	{"AdoptAfterExit", adoptAfterExit},
	{"AdoptedHaveEvents", adoptedHaveEvents},
	{"Status", status},
	{"Repair", repair},
}

// parked returns a program whose goroutines wait for each other, and is followed only now.
func (t *test) parked(s engine.Settings) *followed {
	t.Helper()
	p := t.family()
	p.step("waiting")
	return t.follow(p, options, s)
}

// adopt makes goroutines known that were there before: they count as long as they live.
func adopt(t *test) {
	f := t.parked(engine.Settings{})
	require.Positive(t, f.adoptAll(false))
	f.rest(members)
	require.Zero(t, f.counts().Created, "those that were there before have not been created")
	f.step("done")
	t.eventually("all exit", func() bool { return f.counts().Exited == members })
	f.requireLive()
}

// adoptKnown adopts what is known already.
func adoptKnown(t *test) {
	f := t.parked(engine.Settings{})
	f.adoptAll(false)
	f.rest(members)
	before := f.counts()
	require.Zero(t, f.adoptAll(false), "goroutines that are known were adopted")
	require.Equal(t, before.Live, f.counts().Live)
}

// adoptAfterExit reads of a goroutine that exits before it is adopted, without any other change of state: it does not come back to life.
func adoptAfterExit(t *test) {
	f := t.follow(t.program("spin"), options, engine.Settings{})
	all := f.memory()
	runs := slices.IndexFunc(all, func(g snapshot.Goroutine) bool { return g.State == lifecycle.Running })
	require.GreaterOrEqual(t, runs, 0, "no goroutine runs")
	running := all[runs]
	f.step("done")
	t.eventually("it exits", func() bool {
		return !slices.ContainsFunc(f.memory(), func(g snapshot.Goroutine) bool { return g.GoID == running.GoID })
	})
	adopted, err := f.Adopt(engine.Goroutine{G: running.G, GoID: running.GoID, State: lifecycle.Running, Since: lifecycle.Now()})
	require.NoError(t, err)
	require.False(t, adopted)
	require.Zero(t, f.counts().Live[lifecycle.Running])
}

// adoptedHaveEvents tells how goroutines go on that are adopted for being sampled.
func adoptedHaveEvents(t *test) {
	f := t.parked(engine.Settings{})
	f.adoptAll(true)
	f.step("done")
	woken := 0
	for _, e := range t.eventsOf(f.engine, f.PID(), exits(members)) {
		require.True(t, e.Preexisting)
		require.NotZero(t, e.GoID)
		require.NotEqual(t, lifecycle.Created, e.Kind)
		if e.From == lifecycle.Waiting && f.reason(e.FromReason) == "chan receive" {
			woken++
		}
	}
	require.Equal(t, families*children, woken)
}

// status asks for goroutines that live, that have exited, and that never were.
func status(t *test) {
	f := t.follow(t.family(), options, everything)
	found, _ := f.waiting()
	for g, in := range found {
		alive, _ := f.Status(g, in.GoID)
		require.True(t, alive)
		alive, exited := f.Status(g, in.GoID+1_000_000)
		require.False(t, alive, "another has the g")
		require.Zero(t, exited)
	}
	begin := lifecycle.Now()
	f.step("done")
	t.eventually("all exit", func() bool { return f.counts().Exited == members })
	end := lifecycle.Now()
	for g, in := range found {
		alive, exited := f.Status(g, in.GoID)
		require.False(t, alive)
		if exited != 0 { // it is known still
			require.Greater(t, exited, begin)
			require.Less(t, exited, end)
		}
	}
	alive, exited := f.Status(1<<20, 1)
	require.False(t, alive)
	require.Zero(t, exited)
}

// repair takes the attachment away while goroutines exit, and compares what the engine knows after a repair with the process's memory.
func repair(t *test) {
	f := t.parked(engine.Settings{})
	f.adoptAll(false)
	f.rest(members)
	time.Sleep(100 * time.Millisecond) // what has just changed is not repaired
	wrong, err := f.Repair(lifecycle.Now(), f.look())
	require.NoError(t, err)
	require.Zero(t, wrong, "what is right was repaired")

	require.NoError(t, f.attachment.Close())
	before := f.counts()
	f.step("done")
	wrong = 0
	t.eventually("what is wrong is repaired", func() bool {
		n, err := f.Repair(lifecycle.Now(), f.look())
		require.NoError(t, err)
		wrong += n
		return f.counts().Live == live(f.look())
	})
	require.GreaterOrEqual(t, wrong, members)
	require.EqualValues(t, members, f.counts().Exited)
	require.Equal(t, sum(before.Live)-members, sum(f.counts().Live))
}
