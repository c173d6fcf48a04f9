//go:build linux

package enginetest

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
)

// events are about what engines tell of single goroutines.
var events = []subtest{
	{"CreationsAgreeWithMemory", creationsAgreeWithMemory},
	{"WaitsAgreeWithMemory", waitsAgreeWithMemory},
	{"StatesFollowEachOther", statesFollowEachOther},
	{"TotalsOfALife", totalsOfALife},
	{"ThreadsAndWakers", threadsAndWakers},
	{"Labels", labels},
	{"Stacks", stacks},
	{"CreatorStacks", creatorStacks},
	{"WholeTrees", wholeTrees},
	{"RootAge", rootAge},
	{"Throttle", throttle},
}

// waiting returns the goroutines of a round that is under way, from the process's memory, and the events until they waited.
func (f *followed) waiting() (map[uint64]snapshot.Goroutine, []lifecycle.Event) {
	f.t.Helper()
	f.adoptAll(false)
	f.step("waiting")
	f.rest(members)
	found := map[uint64]snapshot.Goroutine{}
	for _, g := range f.memory() {
		if name := f.start(g.StartPC); name == "main.parent" || name == "main.child" {
			found[g.G] = g
		}
	}
	require.Len(f.t, found, members)
	return found, f.t.eventsOf(f.engine, f.PID(), func(all []lifecycle.Event) bool {
		blocked := 0
		for i := range all {
			if _, is := found[all[i].G]; is && all[i].To == lifecycle.Waiting {
				blocked++
			}
		}
		return blocked >= members
	})
}

// start returns the name of the function that a goroutine begins in.
func (p *program) start(pc uint64) string { return p.binary.StartFunction(pc).Function }

// creationsAgreeWithMemory compares what is told of creations with what the runtime has stored of them.
func creationsAgreeWithMemory(t *test) {
	f := t.follow(t.family(), options, everything)
	found, all := f.waiting()
	byGoID := map[uint64]uint64{}
	for _, in := range f.memory() {
		byGoID[in.GoID] = in.G
	}
	created := 0
	for _, e := range all {
		in, is := found[e.G]
		if e.Kind != lifecycle.Created || !is {
			continue
		}
		created++
		require.Equal(t, in.StartPC, e.StartPC)
		require.Equal(t, in.CreationPC, e.CreationPC)
		require.Equal(t, in.ParentGoID, e.ParentGoID)
		require.Equal(t, byGoID[in.ParentGoID], e.Parent)
		require.False(t, e.System)
		require.False(t, e.Preexisting)
		require.Equal(t, in.ParentGoID == mainGoID, e.Root)
	}
	require.Equal(t, members, created)
}

// mainGoID is the id of the goroutine that runs main.main.
const mainGoID = 1

// waitsAgreeWithMemory compares for what goroutines wait with what the runtime has stored, and each one's id.
func waitsAgreeWithMemory(t *test) {
	f := t.follow(t.family(), options, everything)
	found, all := f.waiting()
	last := map[uint64]lifecycle.Event{}
	for _, e := range all {
		if e.Kind == lifecycle.Transition {
			last[e.G] = e
		}
	}
	reasons := map[string]int{}
	for g, in := range found {
		require.Equal(t, in.GoID, last[g].GoID)
		require.Equal(t, lifecycle.Waiting, last[g].To)
		require.Equal(t, f.reason(in.WaitReason), f.reason(last[g].ToReason))
		reasons[f.reason(last[g].ToReason)]++
	}
	require.Equal(t, families*children, reasons["chan receive"])
}

// whole follows a round from before its begin until all have exited, with all that happens, and returns that.
func (f *followed) whole() []lifecycle.Event {
	f.t.Helper()
	f.adoptAll(true)
	f.step("waiting")
	f.step("done")
	return f.t.eventsOf(f.engine, f.PID(), exits(members))
}

// statesFollowEachOther has each change begin where the one before it has ended, and tells of as many as it counts.
func statesFollowEachOther(t *test) {
	f := t.follow(t.family(), options, everything)
	all := f.whole()
	f.requireLive()
	changes := uint64(0)
	all = append(all, t.eventsOf(f.engine, f.PID(), func(more []lifecycle.Event) bool {
		changes = 0
		for _, e := range append(all[:len(all):len(all)], more...) {
			if e.Kind == lifecycle.Created || e.Kind == lifecycle.Transition || e.Kind == lifecycle.Exited {
				changes++
			}
		}
		return changes >= f.counts().Transitions
	})...)
	require.Equal(t, f.counts().Transitions, changes)
	f.requireNothingMissed()
	last := map[uint64]lifecycle.Event{}
	for _, e := range all {
		before, known := last[e.G]
		switch {
		case e.Kind == lifecycle.Labelled:
			continue
		case e.Kind == lifecycle.Created:
			require.False(t, known && before.To != lifecycle.Dead, "created anew while it lives")
		case known:
			require.Equal(t, before.To, e.From, "of goroutine %d", e.GoID)
			require.Equal(t, before.Time, e.Since)
			require.GreaterOrEqual(t, e.Time, before.Time)
			require.Equal(t, e.Kind == lifecycle.Exited, e.To == lifecycle.Dead)
		default:
			require.True(t, e.Preexisting, "the first that is told of goroutine %d is not its creation", e.GoID)
		}
		require.Zero(t, e.Lost)
		last[e.G] = e
	}
}

// totalsOfALife adds up the events of each life: its end tells the same sums.
func totalsOfALife(t *test) {
	all := t.follow(t.family(), options, everything).whole()
	sums := map[uint64]*[lifecycle.States]lifecycle.Total{}
	compared := 0
	for _, e := range all {
		if e.Kind == lifecycle.Created {
			sums[e.G] = &[lifecycle.States]lifecycle.Total{}
			sums[e.G][e.To].Count = 1
		}
		of := sums[e.G]
		if of == nil || e.Kind != lifecycle.Transition && e.Kind != lifecycle.Exited {
			continue
		}
		of[e.From].Nanoseconds += uint64(e.Time - e.Since)
		if e.Kind == lifecycle.Transition {
			of[e.To].Count++
			continue
		}
		compared++
		require.Equal(t, *of, e.Totals)
	}
	require.GreaterOrEqual(t, compared, members)
}

// threadsAndWakers has each change made by a thread of the process, and children woken by main.
func threadsAndWakers(t *test) {
	f := t.follow(t.family(), options, everything)
	var mainG uint64
	for _, g := range f.memory() {
		if g.GoID == mainGoID {
			mainG = g.G
		}
	}
	f.adoptAll(true)
	f.step("waiting")
	f.rest(members) // each child waits
	f.step("done")
	all := t.eventsOf(f.engine, f.PID(), exits(members))
	threads := f.threads()
	woken := 0
	for _, e := range all {
		if e.Kind == lifecycle.Transition || e.Kind == lifecycle.Exited {
			require.Contains(t, threads, e.TID)
		}
		if e.Kind == lifecycle.Transition && e.From == lifecycle.Waiting && f.reason(e.FromReason) == "chan receive" && e.Waker != 0 {
			woken++
			require.Equal(t, mainG, e.Waker)
			require.EqualValues(t, mainGoID, e.WakerGoID)
		}
	}
	require.Equal(t, families*children, woken, "children that main has woken")
}

// threads returns the ids of the process's threads, which Go programs do not end.
func (p *program) threads() (all []int) {
	p.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.PID()))
	require.NoError(p.t, err)
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		require.NoError(p.t, err)
		all = append(all, id)
	}
	return all
}

// labels has each goroutine of a family carry what its parent's labels say.
func labels(t *test) {
	o := options
	o.Labels = engine.LabelNames{TraceID: []string{"trace_id"}, SpanID: []string{"span_id"}}
	f := t.follow(t.family(), o, everything)
	labelled := map[uint64]bool{}
	f.adoptAll(true)
	f.step("waiting")
	f.rest(members) // an engine may read labels of goroutines that still have them
	f.step("done")
	for _, e := range t.eventsOf(f.engine, f.PID(), exits(members)) {
		if e.Kind == lifecycle.Transition && e.From == lifecycle.Running {
			require.Equal(t, labelled[e.G], e.Labelled)
		}
		if e.Kind != lifecycle.Labelled {
			continue
		}
		require.Equal(t, "0123456789abcdef0123456789abcdef", fmt.Sprintf("%x", e.Context.TraceID))
		require.Equal(t, "0123456789abcdef", fmt.Sprintf("%x", e.Context.SpanID))
		labelled[e.G] = true
	}
	require.Len(t, labelled, members)
}

// stacks has goroutines block where they do, if stacks are wanted.
func stacks(t *test) {
	for _, test := range []struct {
		wanted bool
		want   string
	}{{false, ""}, {true, "main.child"}} {
		s := everything
		s.Stacks = test.wanted
		f := t.follow(t.family(), options, s)
		found, all := f.waiting()
		at := map[string]int{}
		for _, e := range all {
			if in, is := found[e.G]; is && e.To == lifecycle.Waiting && f.start(in.StartPC) == "main.child" && f.reason(e.ToReason) == "chan receive" {
				at[f.blockedAt(e.Stack)]++
			}
		}
		require.Equal(t, map[string]int{test.want: families * children}, at)
	}
}

// blockedAt returns the innermost function of the program's own main package in a stack, "" if there is none.
func (p *program) blockedAt(stack []uint64) string {
	for _, pc := range stack {
		for _, frame := range p.binary.Frames(pc - 1) {
			if len(frame.Function) > 5 && frame.Function[:5] == "main." {
				return frame.Function
			}
		}
	}
	return ""
}

// wholeTrees samples about half of many trees: of each, all or nothing.
func wholeTrees(t *test) {
	const trees, each = 64, 3
	f := t.follow(t.program("family", fmt.Sprint(trees), fmt.Sprint(each)), options, engine.Settings{SamplingRatio: 0.5, RootAge: time.Hour})
	f.adoptAll(false)
	f.step("waiting")
	f.step("done")
	t.eventually("all exit", func() bool { return f.counts().Exited == trees*(1+each) })
	members := map[uint64]int{} // by the root's g
	for _, e := range t.pending(f.engine, f.PID()) {
		switch {
		case e.Kind == lifecycle.Created && e.Root:
			members[e.G] = 1
		case e.Kind == lifecycle.Created:
			require.Contains(t, members, e.Parent, "a child without its parent")
			members[e.Parent]++
		}
	}
	require.NotEmpty(t, members)
	require.Less(t, len(members), trees)
	for _, n := range members {
		require.Equal(t, 1+each, n)
	}
	require.EqualValues(t, trees*(1+each), f.counts().Created)
}

// rootAge lets no creator own what it creates: all are roots of trees.
func rootAge(t *test) {
	f := t.follow(t.family(), options, engine.Settings{SamplingRatio: 1})
	roots := 0
	for _, e := range f.whole() {
		if e.Kind == lifecycle.Created && e.Root && !e.Preexisting {
			roots++
		}
	}
	require.Equal(t, members, roots)
}

// throttle leaves out the trees of one round of three, and counts all goroutines of each.
func throttle(t *test) {
	f := t.follow(t.family(), options, everything)
	f.adoptAll(false)
	for round, share := range []float64{0, 1, 0} {
		require.NoError(t, f.Throttle(share))
		withheld := f.counts().TreesWithheld
		f.step("waiting")
		f.step("done")
		t.eventually("all exit", func() bool { return f.counts().Exited == uint64((round+1)*members) })
		created := count(t.pending(f.engine, f.PID()), lifecycle.Created)
		if share == 1 {
			require.Zero(t, created)
			require.EqualValues(t, families, f.counts().TreesWithheld-withheld)
		} else {
			require.Equal(t, members, created)
			require.Equal(t, withheld, f.counts().TreesWithheld)
		}
	}
}
