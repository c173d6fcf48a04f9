package lifecycle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	parentG = 0x1000
	childG  = 0x2000
	thread  = 7
)

var limits = Limits{Intervals: 3, ShortestInterval: 10, Segment: time.Second, Outlives: time.Second}

// created, changed and exited are the events of the source for goroutine id in g.
func created(at int64, g, goid, parent uint64, root bool) *Event {
	return &Event{Kind: Created, Time: at, G: g, GoID: goid, Parent: parent, From: Runnable, To: Runnable, Root: root}
}

func changed(since, at int64, g, goid uint64, from, to State) *Event {
	return &Event{Kind: Transition, Since: since, Time: at, G: g, GoID: goid, TID: thread, From: from, To: to}
}

func exited(since, at int64, g, goid uint64) *Event {
	e := changed(since, at, g, goid, Running, Dead)
	e.Kind = Exited
	return e
}

// handle feeds events and returns the goroutines that ended.
func handle(t *Tracker, events ...*Event) (ended []*Goroutine) {
	for _, e := range events {
		ended = append(ended, t.Handle(e)...)
	}
	return ended
}

func TestLife(t *testing.T) {
	tr := NewTracker(limits, nil, nil)
	exit := exited(130, 200, childG, 42)
	exit.Totals[Running] = Total{Count: 2, Nanoseconds: 100}
	ended := handle(
		tr,
		created(100, childG, 0, 0, true), // the runtime stores the id later
		changed(100, 110, childG, 42, Runnable, Running),
		changed(110, 125, childG, 42, Running, Waiting),
		changed(125, 130, childG, 42, Waiting, Runnable), // shorter than is shown
		changed(125, 130, 0x3000, 9, Waiting, Runnable),  // not ours
		exit,
	)
	if len(ended) != 1 || tr.Len() != 0 {
		t.Fatalf("%d goroutines ended, %d live", len(ended), tr.Len())
	}
	g := ended[0]
	if g.GoID != 42 || g.Tree.Root != 42 || g.Parent.Followed() || g.Start != 100 || g.End != 200 || g.Ending != Exit {
		t.Errorf("it is %+v", g)
	}
	want := []Interval{
		{Start: 100, End: 110, State: Runnable},
		{Start: 110, End: 125, State: Running, TID: thread},
		{Start: 130, End: 200, State: Running, TID: thread},
	}
	if d := cmp.Diff(want, g.Intervals); d != "" {
		t.Error(d)
	}
	if want := [States]Total{Waiting: {Count: 1, Nanoseconds: 5}}; g.Folded != want {
		t.Errorf("%v is folded, want %v", g.Folded, want)
	}
	if g.Totals != exit.Totals {
		t.Errorf("the totals are %v, not those that the source counted", g.Totals)
	}
}

func TestSlicesAreBounded(t *testing.T) {
	tr := NewTracker(limits, nil, nil)
	handle(tr, created(0, childG, 42, 0, true))
	for at := int64(0); at < 1000; at += 200 {
		handle(tr, changed(at, at+100, childG, 42, Runnable, Running), changed(at+100, at+200, childG, 42, Running, Runnable))
	}
	g := handle(tr, exited(1000, 1100, childG, 42))[0]
	if n := g.Dropped[Running].Count + g.Dropped[Runnable].Count; len(g.Intervals) != limits.Intervals || n != 10-3 {
		t.Errorf("it has %d intervals and %d dropped", len(g.Intervals), n)
	}
}

func TestTrees(t *testing.T) {
	second := int64(time.Second)
	for name, c := range map[string]struct {
		parent      Event
		at          int64
		wantTree    uint64
		wantFollows bool
	}{
		"the creator owns it":                 {at: second, wantTree: 1},
		"the creator was there before":        {parent: Event{Preexisting: true}, wantTree: 2, wantFollows: true},
		"the creator is the runtime's":        {parent: Event{System: true}, wantTree: 2, wantFollows: true},
		"start-up owns it":                    {parent: Event{StartPC: mainPC}, at: second, wantTree: 1},
		"start-up is over":                    {parent: Event{StartPC: mainPC}, at: 6 * second, wantTree: 2, wantFollows: true},
		"each request has a trace of its own": {parent: Event{StartPC: mainPC}, at: requestAt, wantTree: 2, wantFollows: true},
	} {
		t.Run(name, func(t *testing.T) {
			tr := NewTracker(limits, fakePlaces{}, NewHomes())
			parent, child := created(0, parentG, 1, 0, true), created(c.at, childG, 2, parentG, false)
			parent.Preexisting, parent.System, parent.StartPC = c.parent.Preexisting, c.parent.System, c.parent.StartPC
			if c.at == requestAt {
				child.StartPC = requestPC
			}
			handle(tr, parent, child)
			g := tr.Get(childG)
			if g.Parent.GoID != 1 || g.Tree.Root != c.wantTree || g.Follows != c.wantFollows {
				t.Errorf("it is %+v with parent %+v", g, g.Parent)
			}
		})
	}
}

func TestUnknownCreator(t *testing.T) {
	tr := NewTracker(limits, nil, nil)
	handle(tr, created(10, childG, 2, parentG, false))
	if g := tr.Get(childG); g.Parent != (Ref{}) || g.Tree.Root != 2 {
		t.Errorf("it is %+v", g)
	}
}

func TestLostEventsLeaveGaps(t *testing.T) {
	tr := NewTracker(limits, nil, nil)
	late := changed(500, 600, childG, 42, Running, Waiting)
	late.Lost = 3
	handle(tr, created(0, childG, 42, 0, true), changed(0, 100, childG, 42, Runnable, Running), late)
	g := tr.Get(childG)
	want := []Interval{{Start: 0, End: 100, State: Runnable}, {Start: 500, End: 600, State: Running, TID: thread}}
	if d := cmp.Diff(want, g.Intervals); d != "" {
		t.Error(d)
	}
	if g.Lost != 3 {
		t.Errorf("%d events lost, want 3", g.Lost)
	}
}

// TestReuseWithoutExit gives the g to a new goroutine though the exit of the one before was not told.
func TestReuseWithoutExit(t *testing.T) {
	tr := NewTracker(limits, nil, nil)
	ended := handle(tr, created(0, childG, 42, 0, true), changed(0, 100, childG, 42, Runnable, Running), created(900, childG, 43, 0, true))
	if len(ended) != 1 || ended[0].GoID != 42 || ended[0].Ending != Unseen || ended[0].End != 100 {
		t.Fatalf("%+v ended", ended)
	}
	if g := tr.Get(childG); g.GoID != 43 || g.Start != 900 {
		t.Errorf("the new one is %+v", g)
	}
}

func TestInterrupt(t *testing.T) {
	tr := NewTracker(limits, nil, nil)
	handle(
		tr,
		created(0, childG, 42, 0, true), changed(0, 100, childG, 42, Runnable, Running),
		created(50, parentG, 0, 0, true), // its id never became known
	)
	ended := tr.Interrupt(400, ProcessExit)
	if len(ended) != 1 || tr.Len() != 0 {
		t.Fatalf("%d ended, %d live", len(ended), tr.Len())
	}
	g := ended[0]
	if g.End != 400 || g.Ending != ProcessExit || g.Totals[Running].Nanoseconds != 300 {
		t.Errorf("it is %+v", g)
	}
}

func TestSegments(t *testing.T) {
	tr := NewTracker(limits, nil, nil)
	second := int64(time.Second)
	handle(tr, created(0, childG, 42, 0, true), changed(0, 100, childG, 42, Runnable, Waiting))
	if early := tr.Segments(second-1, 100); early != nil {
		t.Fatalf("%v is told too early", early)
	}
	told := tr.Segments(second+5, 100)
	if len(told) != 1 || told[0].Segment != 0 || told[0].End != second+5 || told[0].Ending != SegmentEnd {
		t.Fatalf("%+v is told", told)
	}
	if n := told[0].Totals[Waiting].Nanoseconds; n != uint64(second+5-100) {
		t.Errorf("it waited for %d ns", n)
	}
	// The interval goes on in the next segment, and children belong to that.
	handle(tr, created(second+10, parentG, 50, childG, false))
	if p := tr.Get(parentG); p.Parent.Segment != 1 || p.Tree != (Tree{Root: 42, Segment: 1}) {
		t.Errorf("a child's parent is %+v, its tree %+v", p.Parent, p.Tree)
	}
	g := handle(tr, exited(100, second+105, childG, 42))[0]
	if g.Segment != 1 || g.Start != second+5 || len(g.Intervals) != 1 || g.Intervals[0].Start != second+5 {
		t.Errorf("the last segment is %+v", g)
	}
	if n := g.Totals[Running].Nanoseconds; n != 100 {
		t.Errorf("the last segment counts %d ns, want its own 100", n)
	}
}

func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		alive      bool
		drained    uint64
		exit       int64
		wantEnding Ending
		wantEnd    int64
	}{
		"it lives":                     {alive: true, drained: 6},
		"it exited, and is known when": {drained: 6, exit: 700, wantEnding: Exit, wantEnd: 700},
		"it exited, nobody knows when": {drained: Final, exit: 0, wantEnding: Unseen, wantEnd: 100},
	} {
		t.Run(name, func(t *testing.T) {
			tr := NewTracker(limits, nil, nil)
			handle(tr, created(0, childG, 42, 0, true), changed(0, 100, childG, 42, Runnable, Running))
			fate := func(g, goid uint64) (bool, int64) {
				if g != childG || goid != 42 {
					t.Errorf("asked about %#x, %d", g, goid)
				}
				return c.alive, c.exit
			}
			for range 2 {
				if early := tr.Settle(5, fate); early != nil {
					t.Fatalf("%v ended though its exit may be on its way", early)
				}
			}
			ended := tr.Settle(c.drained, fate)
			if c.alive {
				if len(ended) != 0 || tr.Len() != 1 {
					t.Errorf("%v ended", ended)
				}
				return
			}
			if len(ended) != 1 || ended[0].Ending != c.wantEnding || ended[0].End != c.wantEnd || ended[0].Lost != 1 {
				t.Fatalf("%+v ended", ended[0])
			}
			if n := ended[0].Totals[Running].Nanoseconds; n != 0 {
				t.Errorf("%d ns running were made up", n)
			}
		})
	}
}

func TestWaker(t *testing.T) {
	tr := NewTracker(Limits{Intervals: 10, Segment: time.Second, Outlives: time.Second}, nil, nil)
	woken := func(at int64, waker, goid uint64) *Event {
		e := changed(at, at+50, childG, 42, Waiting, Runnable)
		e.Waker, e.WakerGoID = waker, goid
		return e
	}
	g := handle(
		tr,
		created(100, parentG, 41, 0, true),
		created(100, childG, 42, 0, true),
		changed(100, 110, parentG, 41, Runnable, Running),
		woken(200, parentG, 41),
		woken(300, parentG, 40), // another had the g when it woke this one
		woken(400, 0, 0),
		exited(500, 600, childG, 42),
	)[0]
	want := []Interval{
		{Start: 200, End: 250, State: Waiting, Waker: Ref{GoID: 41, Tree: Tree{Root: 41}}},
		{Start: 300, End: 350, State: Waiting, Waker: Ref{GoID: 40}},
		{Start: 400, End: 450, State: Waiting},
		{Start: 500, End: 600, State: Running, TID: thread},
	}
	if diff := cmp.Diff(want, g.Intervals); diff != "" {
		t.Error(diff)
	}
}

// labelled is the event of a goroutine that works for a span of the program's own; from is Dead if it is created next.
func labelled(g uint64, from State, context SpanContext) *Event {
	return &Event{Kind: Labelled, G: g, From: from, Context: context}
}

var (
	request = SpanContext{TraceID: [16]byte{1}, SpanID: [8]byte{1}}
	query   = SpanContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}}
)

func TestContexts(t *testing.T) {
	for _, test := range []struct {
		name    string
		join    bool
		child   SpanContext // what the child inherits
		joined  SpanContext
		tree    Tree
		creator SpanContext // what the creator works for when it creates it
	}{
		{"links", false, request, SpanContext{}, Tree{Root: 1}, request},
		{"joins", true, request, request, Tree{Root: 2, Joined: request.TraceID}, SpanContext{}},
		{"creator not in the trace", true, request, request, Tree{Root: 2, Joined: request.TraceID}, request},
		{"no labels", true, SpanContext{}, SpanContext{}, Tree{Root: 1}, SpanContext{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := NewTracker(Limits{Intervals: 3, Segment: time.Second, Outlives: time.Second, Join: test.join}, nil, nil)
			handle(
				tr,
				created(100, parentG, 1, 0, true),
				labelled(parentG, Running, test.creator),
				labelled(childG, Dead, test.child),
				created(110, childG, 2, parentG, false),
			)
			child := tr.Get(childG)
			if diff := cmp.Diff(test.joined, child.Joined); diff != "" || child.Tree != test.tree {
				t.Errorf("joined to %v in %v (%s)", child.Joined, child.Tree, diff)
			}
			if inherits := test.child != (SpanContext{}); inherits != (len(child.Contexts) == 1) {
				t.Errorf("it works for %v", child.Contexts)
			}
		})
	}
}

func TestContextsOfAJoinedCreator(t *testing.T) {
	tr := NewTracker(Limits{Intervals: 3, Segment: time.Second, Outlives: time.Second, Join: true}, nil, nil)
	handle(
		tr,
		labelled(parentG, Dead, request),
		created(100, parentG, 1, 0, true),
		labelled(childG, Dead, request),
		created(110, childG, 2, parentG, false),
		labelled(parentG, Running, query),
		labelled(parentG, Running, request),
		labelled(parentG, Running, query),
		labelled(0x3000, Dead, query),
		created(120, 0x3000, 3, parentG, false),
	)
	if g := tr.Get(childG); g.Joined != (SpanContext{}) || g.Tree != (Tree{Root: 1, Joined: request.TraceID}) {
		t.Errorf("a child in the creator's span is joined to %v in %v", g.Joined, g.Tree)
	}
	if g := tr.Get(0x3000); g.Joined != query || g.Tree != (Tree{Root: 3, Joined: query.TraceID}) {
		t.Errorf("a child in a span inside the creator's is joined to %v in %v", g.Joined, g.Tree)
	}
	if got := tr.Get(parentG).Contexts; len(got) != 2 {
		t.Errorf("the creator works for %v", got)
	}
}

func TestStacks(t *testing.T) {
	tr := NewTracker(Limits{Intervals: 5, Segment: time.Second, Outlives: time.Second}, nil, nil)
	blocks := func(since, at int64, stack ...uint64) *Event {
		e := changed(since, at, childG, 42, Running, Waiting)
		e.Stack = stack
		return e
	}
	lost := changed(160, 170, childG, 42, Waiting, Runnable)
	lost.Lost = 2
	ended := handle(
		tr,
		created(100, childG, 42, 0, true),
		changed(100, 110, childG, 42, Runnable, Running),
		blocks(110, 120, 1, 2, 3),
		changed(120, 130, childG, 42, Waiting, Running),
		blocks(130, 140, 1, 2, 3),
		lost, // another wait, of which nobody knows where it is
		exited(170, 200, childG, 42),
	)
	var at []*Stack
	for _, s := range ended[0].Intervals {
		if s.State == Waiting {
			at = append(at, s.Stack)
		}
	}
	if len(at) != 2 || at[0] == nil || at[1] != nil {
		t.Fatalf("the waits are at %v", at)
	}
	if diff := cmp.Diff([]uint64{1, 2, 3}, at[0].PCs); diff != "" {
		t.Error(diff)
	}
}

func TestCreators(t *testing.T) {
	tr := NewTracker(Limits{Intervals: 5, Segment: time.Second, Outlives: time.Second}, nil, nil)
	created := created(100, childG, 42, 0, true)
	created.CreatorStack = []uint64{7, 8}
	handle(tr, created)
	created.CreatorStack[0] = 9 // as the source does with the next event
	segments := tr.Segments(int64(2*time.Second), 10)
	ended := handle(tr, exited(100, int64(3*time.Second), childG, 42))
	for _, g := range append(segments, ended...) {
		if diff := cmp.Diff(&Stack{PCs: []uint64{7, 8}}, g.Creator); diff != "" {
			t.Error(diff)
		}
	}
	if len(segments) != 1 || len(ended) != 1 {
		t.Errorf("%d segments, then %d", len(segments), len(ended))
	}
}

func TestFullTree(t *testing.T) {
	const late, lateChild, other = 0x3000, 0x4000, 0x5000
	tr := NewTracker(Limits{Intervals: 10, Segment: time.Second, Outlives: time.Second, TreeIntervals: 3}, nil, nil)
	ended := handle(
		tr,
		created(100, parentG, 1, 0, true),
		changed(100, 110, parentG, 1, Runnable, Running),
		created(110, childG, 2, parentG, false),
		created(120, late, 3, parentG, false),
		created(130, lateChild, 4, late, false),
		created(140, other, 5, late, true), // its tree is another
		exited(100, 150, lateChild, 4),
		exited(100, 160, late, 3),
		exited(110, 170, childG, 2),
		exited(110, 180, parentG, 1),
		exited(140, 190, other, 5),
	)
	var got [][3]uint64
	for _, g := range ended {
		got = append(got, [3]uint64{g.GoID, uint64(g.Omitted), uint64(len(g.Intervals))})
	}
	// The root tells of two that were omitted, and there is no room for its and its child's last slices.
	if diff := cmp.Diff([][3]uint64{{2, 0, 0}, {1, 2, 1}, {5, 0, 1}}, got); diff != "" {
		t.Error(diff)
	}
	if len(tr.omitted) != 0 || tr.Len() != 0 {
		t.Errorf("%d omitted and %d other goroutines are still known", len(tr.omitted), tr.Len())
	}
}

// longLife is all that can happen to a goroutine, which works for a span of its own at the end.
func longLife(g, goid uint64) []*Event {
	woken := changed(125, 150, g, goid, Waiting, Runnable)
	woken.Waker, woken.WakerGoID = parentG, 1
	blocked := changed(110, 125, g, goid, Running, Waiting)
	blocked.Stack = []uint64{1, 2, 3}
	return []*Event{
		labelled(g, Dead, request),
		created(100, g, goid, parentG, false),
		changed(100, 110, g, goid, Runnable, Running),
		blocked,
		woken,
		changed(150, 170, g, goid, Runnable, Running),
		labelled(g, Running, query),
		exited(170, 200, g, goid),
	}
}

func TestRecycle(t *testing.T) {
	limits := Limits{Intervals: 3, Segment: time.Second, Outlives: time.Second, Join: true}
	second := []*Event{created(300, childG, 3, 0, true), changed(300, 320, childG, 3, Runnable, Running), exited(320, 340, childG, 3)}
	fresh := handle(NewTracker(limits, nil, nil), second...)[0]
	tr := NewTracker(limits, nil, nil)
	first := handle(tr, append([]*Event{created(50, parentG, 1, 0, true)}, longLife(childG, 2)...)...)[0]
	tr.Recycle(first)
	again := handle(tr, second...)[0]
	if again != first {
		t.Error("its memory is not used again")
	}
	if diff := cmp.Diff(fresh, again, cmp.AllowUnexported(Goroutine{}, traceBudget{}, inlet{}, episode{}, habits{}, visit{}, reply{}, folding{}), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// TestEventsAllocateOnlyEpisodes allocates each by itself, as one that is remembered must not keep others: here two, as a label begins another.
func TestEventsAllocateOnlyEpisodes(t *testing.T) {
	tr := NewTracker(Limits{Intervals: 3, Segment: time.Second, Outlives: time.Second, TreeIntervals: 100, Join: true}, nil, nil)
	handle(tr, created(50, parentG, 1, 0, true))
	events := longLife(childG, 2)
	n := testing.AllocsPerRun(1000, func() {
		for _, e := range events {
			for _, ended := range tr.Handle(e) {
				tr.Recycle(ended)
			}
		}
	})
	if n > 2 {
		t.Errorf("%v allocations for each goroutine", n)
	}
}

// TestWokenByOmitted has a goroutine of which nothing is told end the wait of another.
func TestWokenByOmitted(t *testing.T) {
	const late = 0x3000
	tr := NewTracker(Limits{Intervals: 10, Segment: time.Second, Outlives: time.Second, TreeIntervals: 2}, fakePlaces{}, NewHomes())
	woken := changed(130, 150, parentG, 1, Waiting, Runnable)
	woken.Waker, woken.WakerGoID = late, 3
	ended := handle(
		tr,
		created(100, parentG, 1, 0, true),
		changed(100, 110, parentG, 1, Runnable, Running),
		created(110, childG, 2, parentG, false),
		created(120, late, 3, parentG, false),
		changed(110, 130, parentG, 1, Running, Waiting),
		woken,
		exited(150, 160, parentG, 1),
	)
	if tr.omitted[late] == nil || len(ended) != 1 || ended[0].GoID != 1 {
		t.Fatalf("%d are omitted, ended are %v", len(tr.omitted), ended)
	}
}
