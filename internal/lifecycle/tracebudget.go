package lifecycle

import "math"

// traceBudget is what may still be told of a trace.
type traceBudget struct {
	left    int    // spans
	pieces  int    // of work that goroutines do which it has not created
	omitted uint32 // goroutines and pieces that there was no room for, and of which nobody has been told yet
}

// maxPieces is how many pieces of work of other goroutines a trace has: if it is wrong where one of them begins, there may be one after the
// other.
const maxPieces = 100

// newBudget returns what may be told of a new trace.
func (t *Tracker) newBudget() traceBudget {
	b := traceBudget{left: t.limits.TreeIntervals, pieces: maxPieces}
	if b.left == 0 {
		b.left = math.MaxInt / 2 // to which may be added
	}
	return b
}

// tell returns how many have been omitted since it was called last.
func (b *traceBudget) tell() uint32 {
	n := b.omitted
	b.omitted = 0
	return n
}

// full returns the budget of the trace that a new goroutine belongs to if it is used up. What an omitted goroutine creates is
// omitted too, as long as the creator is young: it would have no parent.
func (t *Tracker) full(e *Event, owner *episode) *traceBudget {
	if o := t.omitted[e.Parent]; o != nil && !e.Root {
		return o.outside
	}
	if owner != nil && owner.root.budget.left <= 0 {
		return &owner.root.budget
	}
	return nil
}

// fullTrace returns the budget of the trace of an episode if there is no room in it for a piece of another goroutine's work.
func (e *episode) fullTrace() *traceBudget {
	switch b := &e.root.budget; {
	case e.outside != nil:
		return e.outside
	case b.left <= 0 || b.pieces <= 0:
		return b
	}
	return nil
}

// leaveOut has nothing told of an episode, as there is no room for it in the trace that it would belong to.
func (e *episode) leaveOut(of *traceBudget) {
	e.untold, e.outside = true, of
	of.omitted++
}

// omit remembers a new goroutine that there is no room for.
func (t *Tracker) omit(e *Event, full *traceBudget) {
	o := &episode{ref: Ref{GoID: e.GoID, StartPC: e.StartPC}, begun: e.Time}
	o.root = o
	o.leaveOut(full)
	t.omitted[e.G] = o
}
