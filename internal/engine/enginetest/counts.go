//go:build linux

package enginetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// counts are about numbers of all goroutines, which are exact whatever is sampled.
var counts = []subtest{
	{"CountsAreExact", countsAreExact},
	{"TimesAreExact", timesAreExact},
	{"DistributionsAgreeWithCounts", distributionsAgreeWithCounts},
	{"LivesByFunction", livesByFunction},
	{"RunTimesByFunction", runTimesByFunction},
	{"FirstRunsByFunction", firstRunsByFunction},
	{"TimeOfTheRuntime", timeOfTheRuntime},
	{"GoroutinesOneByOne", goroutinesOneByOne},
}

// The goroutines that most tests make, in one round of testdata/family.
const (
	families = 5
	children = 20
	members  = families * (1 + children)
)

// family returns the program that makes them.
func (t *test) family() *program {
	t.Helper()
	return t.program("family", fmt.Sprint(families), fmt.Sprint(children))
}

// countsAreExact follows two rounds of goroutines, of which none is sampled.
func countsAreExact(t *test) {
	f := t.follow(t.family(), options, engine.Settings{})
	f.adoptAll(false)
	f.requireLive()
	for round := range uint64(2) {
		before := f.counts()
		f.step("waiting")
		f.rest(members)
		n := f.counts()
		require.EqualValues(t, members, n.Created-before.Created)
		require.Equal(t, round*members, n.Exited)
		f.step("done")
		t.eventually("all exit", func() bool { return f.counts().Exited == n.Exited+members })
		f.requireLive()
		// Each is created, runs, waits, is woken, runs and exits.
		require.GreaterOrEqual(t, f.counts().Transitions-before.Transitions, uint64(6*members))
	}
	f.requireNothingMissed()
	require.Empty(t, t.pending(f.engine, f.PID()), "events of what is not sampled")
}

// timesAreExact has goroutines wait: they do for as long as passes between two readings, no less and no more.
func timesAreExact(t *test) {
	f := t.follow(t.family(), options, engine.Settings{})
	f.adoptAll(false)
	f.step("waiting")
	f.rest(members)
	outer := lifecycle.Now()
	before := f.counts()
	inner := lifecycle.Now()
	time.Sleep(50 * time.Millisecond)
	least := uint64(lifecycle.Now()-inner) * uint64(before.Live[lifecycle.Waiting])
	after := f.counts()
	most := uint64(lifecycle.Now()-outer) * uint64(before.Live[lifecycle.Waiting])
	require.Equal(t, before.Live, after.Live)
	waited := after.Time[lifecycle.Waiting] - before.Time[lifecycle.Waiting]
	require.GreaterOrEqual(t, waited, least)
	require.LessOrEqual(t, waited, most)
}

// distributionsAgreeWithCounts has a life, a start and some runs of each goroutine in the distributions, until the process is left.
func distributionsAgreeWithCounts(t *test) {
	f := t.follow(t.family(), options, engine.Settings{})
	f.adoptAll(false)
	f.step("waiting")
	f.step("done")
	t.eventually("all exit", func() bool { return f.counts().Exited == members })
	f.rest(0)
	all, err := f.engine.Distributions()
	require.NoError(t, err)
	own, err := f.Distributions()
	require.NoError(t, err)
	of := func(kind lifecycle.HistogramKind) *lifecycle.Histogram {
		h := all[f.ID()].Histograms[lifecycle.HistogramKey{Kind: kind}]
		require.NotNil(t, h)
		require.Equal(t, h, own.Histograms[lifecycle.HistogramKey{Kind: kind}])
		var inBuckets uint64
		for _, n := range h.Buckets {
			inBuckets += n
		}
		require.Equal(t, h.Count, inBuckets)
		require.Positive(t, h.Sum)
		return h
	}
	require.EqualValues(t, members, of(lifecycle.Lifetime).Count)
	require.GreaterOrEqual(t, of(lifecycle.Schedule).Count, uint64(2*members))
	require.GreaterOrEqual(t, of(lifecycle.Run).Count, uint64(2*members))
	var waits uint64
	for key, h := range own.Histograms {
		if key.Kind == lifecycle.Wait {
			waits += h.Count
		}
	}
	require.GreaterOrEqual(t, waits, uint64(members))
	f.requireForgotten(func(d engine.ProcessDistributions) int { return len(d.Histograms) })
}

// requireForgotten leaves the process, of which a part of the distributions must be empty then.
func (f *followed) requireForgotten(entries func(engine.ProcessDistributions) int) {
	f.t.Helper()
	id := f.ID()
	require.NoError(f.t, f.Unfollow())
	f.t.eventually("what is known of a process that was left is forgotten", func() bool {
		all, err := f.engine.Distributions()
		require.NoError(f.t, err)
		return entries(all[id]) == 0
	})
}

// livesByFunction counts goroutines by the function that they begin in.
func livesByFunction(t *test) {
	o := options
	o.ByFunction = true
	f := t.follow(t.family(), o, engine.Settings{})
	f.step("waiting")
	f.requireFunctions(map[string]lifecycle.Lives{"main.parent": {Created: families}, "main.child": {Created: families * children}})
	f.step("done")
	f.requireFunctions(map[string]lifecycle.Lives{
		"main.parent": {Created: families, Exited: families}, "main.child": {Created: families * children, Exited: families * children},
	})
}

func (f *followed) requireFunctions(want map[string]lifecycle.Lives) {
	f.t.Helper()
	found := map[string]lifecycle.Lives{}
	f.t.eventually(fmt.Sprint("lives are ", want), func() bool {
		d, err := f.Distributions()
		require.NoError(f.t, err)
		clear(found)
		for pc, n := range d.Functions {
			found[f.binary.StartFunction(pc).Function] = n
		}
		for name, n := range want {
			if found[name] != n {
				return false
			}
		}
		return true
	})
}

// runTimesByFunction adds up for how long goroutines ran by the function that they begin in.
func runTimesByFunction(t *test) {
	f, ran := t.followRuns("lines")
	require.Positive(t, ran["main.nibble"])
	for name, ns := range ran {
		require.LessOrEqual(t, ns, ran["main.burn"], name)
	}
	f.requireNothingMissed()
	f.requireForgotten(func(d engine.ProcessDistributions) int { return len(d.Runs) })
}

// firstRunsByFunction has the first two runs of a function end on two processors at once: neither may take the place of the other.
func firstRunsByFunction(t *test) {
	for range 8 {
		f, ran := t.followRuns("firsts")
		f.requireNothingMissed()
		require.Greater(t, len(ran), 90)
	}
}

// followRuns has a program do its work, and returns for how many ns its goroutines ran by the function that they begin in: together that is as long
// as all ran.
func (t *test) followRuns(name string) (f *followed, ran map[string]uint64) {
	t.Helper()
	p := t.build(name).again()
	o := options
	o.RunTimes = true
	f = t.follow(p, o, engine.Settings{})
	f.adoptAll(false)
	p.GoOn()
	p.Line()
	f.rest(0)
	d, err := f.Distributions()
	require.NoError(t, err)
	var all uint64
	ran = map[string]uint64{}
	for pc, ns := range d.Runs {
		all += ns
		ran[f.binary.StartFunction(pc).Function] += ns
	}
	require.Equal(t, f.counts().Time[lifecycle.Running], all)
	return f, ran
}

// timeOfTheRuntime compares how long the garbage collector's goroutines and the program's own ran of a program that has its memory collected.
func timeOfTheRuntime(t *test) {
	f := t.follow(t.program("processor", "garbage"), options, engine.Settings{})
	f.adoptAll(false)
	t.eventually("workers of the garbage collector run for a considerable part of the time", func() bool {
		d, err := f.Distributions()
		require.NoError(t, err)
		ran := map[string]uint64{}
		for pc, ns := range d.System {
			ran[f.binary.StartFunction(pc).Function] += ns
		}
		own := f.counts().Time[lifecycle.Running]
		for name := range ran {
			require.True(t, strings.HasPrefix(name, "runtime."), name)
		}
		return own > 0 && ran["runtime.gcBgMarkWorker"] > own/4
	})
	f.requireForgotten(func(d engine.ProcessDistributions) int { return len(d.System) })
}

// goroutinesOneByOne compares what the engine knows of each with the process's memory.
func goroutinesOneByOne(t *test) {
	f := t.follow(t.family(), options, everything)
	f.adoptAll(true)
	f.step("waiting")
	f.rest(members)
	type one struct {
		goid       uint64
		state      lifecycle.State
		reason     uint8
		creationPC uint64
	}
	want, got := map[uint64]one{}, map[uint64]one{}
	for _, g := range f.look() {
		if !g.System {
			want[g.G] = one{g.GoID, g.State, g.Reason, g.CreationPC}
		}
	}
	require.NoError(t, f.engine.Goroutines(func(id engine.ID, r waitstats.Goroutine) {
		require.Equal(t, f.ID(), id)
		if r.State != lifecycle.Waiting {
			r.Reason = 0
		}
		got[r.G] = one{r.GoID, r.State, r.Reason, r.CreationPC}
	}))
	require.Equal(t, want, got)
}

// twoEngines follow the same process, the second of them with what it reads of the file while the first is attached: both see the same.
func twoEngines(t *test) {
	p := t.family()
	first := t.follow(p, options, engine.Settings{})
	other := t.build("family")
	require.Equal(t, p.binary.Sites, other.binary.Sites)
	other.Running = p.Running
	second := t.follow(other, options, engine.Settings{})
	p.step("waiting")
	p.step("done")
	for _, f := range []*followed{first, second} {
		t.eventually("all exit", func() bool { return f.counts().Exited >= members })
		require.EqualValues(t, members, f.counts().Created)
		f.requireNothingMissed()
	}
}
