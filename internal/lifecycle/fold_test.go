package lifecycle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// loop is a goroutine that waits at a place again and again, and does little in between.
func loop(at *Stack, times int, wait, work int64) (all []Interval) {
	now := int64(0)
	for range times {
		all = append(all,
			Interval{Start: now, End: now + wait, State: Waiting, Reason: 1, Stack: at, Waker: Ref{GoID: uint64(now) + 1}},
			Interval{Start: now + wait, End: now + wait + work, State: Runnable},
			Interval{Start: now + wait + work, End: now + wait + 2*work, State: Running, TID: thread},
		)
		now += wait + 2*work
	}
	return all
}

// live feeds a goroutine's intervals to it, and returns it at its end.
func live(limits Limits, all []Interval) *Goroutine {
	budget := NewTracker(limits, nil, nil).newBudget()
	g := &Goroutine{GoID: 1, budget: &budget}
	for _, s := range all {
		g.add(s, limits)
	}
	g.fold(limits)
	return g
}

func TestFold(t *testing.T) {
	here, there := &Stack{PCs: []uint64{1}}, &Stack{PCs: []uint64{2}}
	at := func(start, end int64, state State, stack *Stack) Interval {
		return Interval{Start: start, End: end, State: state, Stack: stack}
	}
	linked := at(100, 105, Running, nil)
	linked.Linked = true
	for _, test := range []struct {
		name      string
		all, want []Interval
		folded    [States]Total
	}{
		{"a loop becomes one wait", loop(here, 3, 100, 2), []Interval{
			{Start: 0, End: 308, State: Waiting, Reason: 1, Stack: here, Joined: 2, Between: 8, Waker: Ref{GoID: 209}},
		}, [States]Total{Runnable: {3, 6}, Running: {3, 6}}},
		{
			"other places",
			[]Interval{at(0, 100, Waiting, here), at(100, 105, Running, nil), at(105, 200, Waiting, there)},
			[]Interval{at(0, 100, Waiting, here), at(105, 200, Waiting, there)},
			[States]Total{Running: {1, 5}},
		},
		{
			"places that nobody knows",
			[]Interval{at(0, 100, Waiting, nil), at(100, 105, Running, nil), at(105, 200, Waiting, nil)},
			[]Interval{at(0, 100, Waiting, nil), at(105, 200, Waiting, nil)},
			[States]Total{Running: {1, 5}},
		},
		{
			"work in between",
			[]Interval{at(0, 100, Waiting, here), at(100, 150, Running, nil), at(150, 200, Waiting, here)},
			[]Interval{at(0, 100, Waiting, here), at(100, 150, Running, nil), at(150, 200, Waiting, here)},
			[States]Total{},
		},
		{
			"a gap in between",
			[]Interval{at(0, 100, Waiting, here), at(102, 105, Running, nil), at(105, 200, Waiting, here)},
			[]Interval{at(0, 100, Waiting, here), at(105, 200, Waiting, here)},
			[States]Total{Running: {1, 3}},
		},
		{
			"much that is short in between",
			[]Interval{at(0, 100, Waiting, here), at(100, 106, Running, nil), at(106, 112, Runnable, nil), at(112, 200, Waiting, here)},
			[]Interval{at(0, 100, Waiting, here), at(112, 200, Waiting, here)},
			[States]Total{Running: {1, 6}, Runnable: {1, 6}},
		},
		{"a link leads there", []Interval{at(0, 100, Waiting, here), linked}, []Interval{at(0, 100, Waiting, here), linked}, [States]Total{}},
		{
			"a link leads into a loop",
			[]Interval{at(0, 100, Waiting, here), linked, at(105, 200, Waiting, here)},
			[]Interval{{Start: 0, End: 200, State: Waiting, Stack: here, Joined: 1, Between: 5}},
			[States]Total{Running: {1, 5}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := live(limits, test.all)
			if d := cmp.Diff(test.want, g.Intervals); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(test.folded, g.Folded); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLoopIsOneWait has a worker that lives on for long: what is told of it, and what is kept meanwhile, does not grow.
func TestLoopIsOneWait(t *testing.T) {
	const times = 100_000
	g := live(Limits{Intervals: 10, ShortestInterval: 10}, loop(&Stack{}, times, 100, 3))
	if len(g.Intervals) != 1 || g.Intervals[0].Joined != times-1 || g.Intervals[0].Duration() != 100*times || sum(g.Dropped) != 0 {
		t.Errorf("it is told as %+v", g.Intervals)
	}
	if cap(g.Intervals) > 2*leastFold {
		t.Errorf("there is room for %d intervals", cap(g.Intervals))
	}
}

// sum returns how many ns are counted.
func sum(of [States]Total) (ns uint64) {
	for _, t := range of {
		ns += t.Nanoseconds
	}
	return ns
}

// sumsAreExact checks that what is told of a goroutine, was folded and was dropped are all that it did, state by state.
func sumsAreExact(t *testing.T, g *Goroutine) {
	t.Helper()
	var got [States]Total
	for i, s := range g.Intervals {
		got[s.State].Add(s)
		if i > 0 && s.Start < g.Intervals[i-1].End {
			t.Fatalf("an interval begins at %d, before the end of one that begins at %d", s.Start, g.Intervals[i-1].Start)
		}
	}
	waited := got[Waiting]
	for _, w := range g.Unshown {
		waited.Count += w.Count
		waited.Nanoseconds += w.Nanoseconds
	}
	if waited != g.Totals[Waiting] {
		t.Errorf("by reason it waited for %v, want %v", waited, g.Totals[Waiting])
	}
	for s := range got {
		got[s].Count += g.Folded[s].Count + g.Dropped[s].Count
		got[s].Nanoseconds += g.Folded[s].Nanoseconds + g.Dropped[s].Nanoseconds
	}
	if d := cmp.Diff(g.Totals, got); d != "" {
		t.Error(d)
	}
}

// TestSumsAreExact has goroutines that do anything, with any limits.
func TestSumsAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	places := []*Stack{nil, {PCs: []uint64{1}}, {PCs: []uint64{2}}}
	for range 200 {
		var all []Interval
		now := int64(0)
		for range random.IntN(2000) {
			if random.IntN(50) == 0 {
				now += random.Int64N(100) // events were lost
			}
			s := Interval{Start: now, State: Runnable + State(random.IntN(int(States)-1)), Linked: random.IntN(20) == 0}
			if s.State == Waiting {
				s.Reason = uint8(random.IntN(3))
			}
			if s.State == Waiting || s.State == Syscall {
				s.Stack = places[random.IntN(len(places))]
			}
			now += 1 + random.Int64N(2<<random.IntN(12))
			s.End = now
			all = append(all, s)
		}
		limits := Limits{Intervals: random.IntN(500), ShortestInterval: time.Duration(random.IntN(1000)), TreeIntervals: random.IntN(1000)}
		g := live(limits, all)
		sumsAreExact(t, g)
		if len(g.Intervals) > limits.Intervals {
			t.Errorf("%d intervals are told, %d may be", len(g.Intervals), limits.Intervals)
		}
	}
}

// TestLongestAreKept has far more intervals than may be told, of which the first are the shortest.
func TestLongestAreKept(t *testing.T) {
	const all, most, linked = 10_000, 100, 5
	var lived []Interval
	now := int64(0)
	for i := range int64(all) {
		lived = append(lived, Interval{Start: now, End: now + 100 + i, State: Runnable + State(i%2), Linked: i < linked})
		now += 100 + i
	}
	g := live(Limits{Intervals: most}, lived)
	want := append(append([]Interval{}, lived[:linked]...), lived[all-most+linked:]...)
	if d := cmp.Diff(want, g.Intervals); d != "" {
		t.Error(d)
	}
	sumsAreExact(t, g)
}

// TestLinkIsKept has a goroutine that runs for a moment, in which it wakes two others: one that has waited for long, and one that has not.
func TestLinkIsKept(t *testing.T) {
	for name, test := range map[string]struct {
		waited int64
		kept   int
	}{"a wait that is told of": {50, 2}, "one that is folded": {5, 1}} {
		t.Run(name, func(t *testing.T) {
			tr := NewTracker(Limits{Intervals: 10, ShortestInterval: 10, Segment: time.Second, Outlives: time.Second}, nil, nil)
			woken := changed(103-test.waited, 103, childG, 2, Waiting, Runnable)
			woken.Waker, woken.WakerGoID = parentG, 1
			waker := handle(
				tr,
				created(0, parentG, 1, 0, true), created(10, childG, 2, parentG, false),
				changed(0, 100, parentG, 1, Runnable, Running),
				woken,
				exited(100, 106, parentG, 1),
			)[0]
			if len(waker.Intervals) != test.kept {
				t.Errorf("the waker is told as %+v", waker.Intervals)
			}
		})
	}
}
