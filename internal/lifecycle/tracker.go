package lifecycle

import (
	"math"
	"slices"
	"time"
)

// Limits bound what is kept of a goroutine.
type Limits struct {
	// Intervals is how many of them a segment has at the most.
	Intervals int
	// ShortestInterval is the shortest interval that is kept.
	ShortestInterval time.Duration
	// Segment is how long a segment lasts before the next one begins.
	Segment time.Duration
	// TreeIntervals is how many goroutines and intervals are told of a tree before those that are created in it are omitted; 0 sets no limit.
	TreeIntervals int
	// Join makes goroutines that inherit a span of the program's own a part of its trace.
	Join bool
}

// maxContexts is how many spans of the program's own a segment remembers.
const maxContexts = 32

// Tracker is the state machine of one process's goroutines. It is not safe for concurrent use.
type Tracker struct {
	limits Limits
	live   map[uint64]*Goroutine // by G
	stacks stacks
	// omitted are goroutines that there was no room for in their trees, by G.
	omitted map[uint64]*traceBudget
	// inherited are contexts of goroutines that are to be created, by G.
	inherited map[uint64]SpanContext
	// spare and rooms are memory for goroutines and trees to come.
	spare   []*Goroutine
	budgets []traceBudget
}

// NewTracker returns a Tracker that knows no goroutine.
func NewTracker(limits Limits) *Tracker {
	return &Tracker{limits: limits, live: map[uint64]*Goroutine{}, omitted: map[uint64]*traceBudget{}, inherited: map[uint64]SpanContext{}}
}

// Len returns how many goroutines are followed.
func (t *Tracker) Len() int { return len(t.live) }

// Get returns the goroutine that has a g, nil if it is not followed.
func (t *Tracker) Get(g uint64) *Goroutine { return t.live[g] }

// Handle takes an event and returns the goroutine, if any, whose life it ends.
func (t *Tracker) Handle(e *Event) *Goroutine {
	switch e.Kind {
	case Created:
		return t.create(e)
	case Transition:
		if g := t.live[e.G]; g != nil {
			t.change(g, e)
		}
	case Labelled:
		t.label(e)
	case Exited:
		delete(t.omitted, e.G)
		g := t.live[e.G]
		if g == nil {
			return nil
		}
		delete(t.live, e.G)
		t.change(g, e)
		t.end(g, e)
		return g
	}
	return nil
}

// create begins a life and returns the one that had the same g before, if its exit was lost.
func (t *Tracker) create(e *Event) *Goroutine {
	before := t.live[e.G]
	if before != nil {
		t.interrupt(before, before.current.Start, Unseen)
	}
	delete(t.live, e.G)
	delete(t.omitted, e.G)
	context, inherits := t.inherited[e.G]
	delete(t.inherited, e.G)
	if full := t.full(e); full != nil {
		full.omitted++
		t.omitted[e.G] = full
		return before
	}
	g := t.blank()
	*g = Goroutine{
		G: e.G, GoID: e.GoID, ParentGoID: e.ParentGoID,
		System: e.System, Preexisting: e.Preexisting,
		StartPC: e.StartPC, CreationPC: e.CreationPC,
		Start: e.Time, Lost: e.Lost,
		current:    Interval{Start: e.Time, State: e.To, Reason: e.ToReason},
		hasCurrent: true,
		Intervals:  g.Intervals[:0],
		Contexts:   g.Contexts[:0],
	}
	if p := t.creator(e); p != nil {
		g.Parent = p.ref()
		g.Follows = e.Root
		if !e.Root {
			g.Tree, g.budget = p.Tree, p.budget
		}
	}
	if g.Tree.Root == 0 {
		g.Tree.Root = g.GoID
	}
	if inherits {
		t.inherit(g, t.creator(e), context)
	}
	if g.budget == nil {
		g.budget = t.newTraceBudget()
	}
	g.budget.left--
	t.live[e.G] = g
	return before
}

// blank returns a Goroutine to be filled, whose intervals may have room.
func (t *Tracker) blank() *Goroutine {
	if n := len(t.spare); n > 0 {
		g := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return g
	}
	return &Goroutine{}
}

// maxSpare is how many goroutines' memory is kept for others, maxSpareIntervals of how many intervals each.
const (
	maxSpare          = 128
	maxSpareIntervals = 32
)

// Recycle takes back a goroutine that Handle returned: its memory becomes another's.
func (t *Tracker) Recycle(g *Goroutine) {
	if len(t.spare) < maxSpare && cap(g.Intervals) <= maxSpareIntervals {
		t.spare = append(t.spare, g)
	}
}

// creator returns the goroutine that created another, nil if it is not followed.
func (t *Tracker) creator(e *Event) *Goroutine {
	if e.Parent == 0 || e.Parent == e.G {
		return nil
	}
	return t.live[e.Parent]
}

// label remembers the span of the program's own that a goroutine works for.
func (t *Tracker) label(e *Event) {
	if e.From != Dead {
		if g := t.live[e.G]; g != nil {
			g.worksFor(e.Context)
		}
	} else if e.Context != (SpanContext{}) {
		t.inherited[e.G] = e.Context
	}
}

// inherit gives a new goroutine the span that its creator works for. If the creator was created for that span itself, what it creates
// stays its child.
func (t *Tracker) inherit(g, creator *Goroutine, context SpanContext) {
	g.inherited = context
	g.worksFor(context)
	if !t.limits.Join || creator != nil && creator.inherited == context && g.Tree.Joined == context.TraceID {
		return
	}
	g.Joined = context
	g.Tree = Tree{Root: g.GoID, Joined: context.TraceID}
	g.budget = t.newTraceBudget()
}

func (g *Goroutine) worksFor(context SpanContext) {
	if context != (SpanContext{}) && len(g.Contexts) < maxContexts && !slices.Contains(g.Contexts, context) {
		g.Contexts = append(g.Contexts, context)
	}
}

func (g *Goroutine) ref() Ref { return Ref{GoID: g.GoID, Segment: g.Segment, Tree: g.Tree} }

// refTo returns the segment that a goroutine is in, or its id alone if it is not followed.
func (t *Tracker) refTo(address, goid uint64) Ref {
	if g := t.live[address]; g != nil && g.GoID == goid {
		return g.ref()
	}
	return Ref{GoID: goid}
}

// change ends the interval that an event tells the end of and begins the next.
func (t *Tracker) change(g *Goroutine, e *Event) {
	if g.GoID == 0 {
		g.GoID = e.GoID
		if g.Tree.Root == 0 {
			g.Tree.Root = e.GoID
		}
	}
	g.Lost += e.Lost
	if e.Time < g.Start {
		return // of the segment before, which has been told
	}
	s := Interval{Start: e.Since, End: e.Time, State: e.From, Reason: e.FromReason}
	if s.State == Running || s.State == Syscall {
		s.TID = e.TID
	}
	if g.hasCurrent && g.current.State == s.State && e.Lost == 0 {
		s.Stack = g.current.Stack
	}
	if e.WakerGoID != 0 {
		s.Waker = t.refTo(e.Waker, e.WakerGoID)
	}
	if s.State != Dead {
		g.add(s, t.limits)
	}
	g.current = Interval{Start: e.Time, State: e.To, Reason: e.ToReason, Stack: t.stacks.intern(e.Stack)}
	g.hasCurrent = e.To != Dead
}

// end closes a goroutine at its exit. The source counted each interval, so a life told in one segment has exact totals even if
// events were lost.
func (t *Tracker) end(g *Goroutine, e *Event) {
	g.End, g.Ending, g.Omitted = e.Time, Exit, g.budget.tell()
	if g.Segment == 0 && !g.Preexisting {
		g.Totals = e.Totals
	}
}

// interrupt closes a goroutine of which nothing is known after a moment.
func (t *Tracker) interrupt(g *Goroutine, at int64, why Ending) {
	at = max(at, g.Start)
	if g.hasCurrent && at > g.current.Start {
		g.addOpen(at, t.limits)
	}
	g.End, g.Ending, g.Omitted = at, why, g.budget.tell()
}

// addOpen ends the open interval at a moment at which the goroutine did not change its state.
func (g *Goroutine) addOpen(at int64, limits Limits) {
	s := g.current
	s.End = at
	g.add(s, limits)
}

// Interrupt ends all goroutines at a moment and returns those whose id is known.
func (t *Tracker) Interrupt(at int64, why Ending) []*Goroutine {
	ended := make([]*Goroutine, 0, len(t.live))
	for _, g := range t.live {
		t.interrupt(g, at, why)
		if g.GoID != 0 {
			ended = append(ended, g)
		}
	}
	clear(t.live)
	return ended
}

// Segments returns what is to be told of goroutines whose segment has lasted long enough; they live on in their next. It tells of no more
// than a limit at once: those that began together come one after the other.
func (t *Tracker) Segments(now int64, limit int) []*Goroutine {
	var told []*Goroutine
	for _, g := range t.live {
		if len(told) >= limit {
			break
		}
		if now-g.Start < int64(t.limits.Segment) || g.GoID == 0 {
			continue
		}
		told = append(told, t.cut(g, now))
	}
	return told
}

// cut splits a life at a moment, ends the first part and lets the second live.
func (t *Tracker) cut(g *Goroutine, now int64) *Goroutine {
	segment := *g
	segment.addOpen(now, t.limits)
	segment.End, segment.Ending, segment.Omitted = now, SegmentEnd, g.budget.tell()
	g.Segment++
	if g.Tree.Root == g.GoID && g.Joined == (SpanContext{}) {
		g.Tree.Segment = g.Segment
		g.budget = t.newTraceBudget()
	}
	g.budget.left--
	g.Start = now
	g.Intervals, g.Contexts, g.Cut, g.Lost, g.Totals = nil, nil, 0, 0, [States]Total{}
	g.current.Start = max(g.current.Start, now)
	return &segment
}

// Final is a count of drained that tells Settle that no event is on its way.
const Final = math.MaxUint64

// Settle ends the goroutines that have exited without being seen to, because their last event was lost. fate tells of each
// whether it lives, and if not, when it exited, as far as that is known (else 0). The last event may also be on its way: a goroutine is
// ended only if it was found dead before, and since then, as drained counts, all events of before have come.
func (t *Tracker) Settle(drained uint64, fate func(g, goid uint64) (alive bool, exited int64)) []*Goroutine {
	var ended []*Goroutine
	for address, g := range t.live {
		if g.GoID == 0 {
			continue
		}
		alive, exited := fate(address, g.GoID)
		switch {
		case alive:
			g.foundDead = false
			continue
		case drained == Final:
		case !g.foundDead:
			g.foundDead, g.foundWhen = true, drained
			continue
		case g.foundWhen == drained:
			continue
		}
		delete(t.live, address)
		t.unseen(g, exited)
		ended = append(ended, g)
	}
	return ended
}

// unseen ends a goroutine whose exit was lost.
func (t *Tracker) unseen(g *Goroutine, exited int64) {
	g.Lost++
	// The interval that was open may have ended long before the exit: it is not told of.
	g.hasCurrent = false
	if exited >= g.current.Start {
		t.interrupt(g, exited, Exit)
	} else {
		t.interrupt(g, g.current.Start, Unseen)
	}
}
