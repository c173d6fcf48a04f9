package lifecycle

import "math"

// traceBudget is what may still be told of a tree.
type traceBudget struct {
	left    int
	omitted uint32 // goroutines that there was no room for, and of which nobody has been told yet
}

// roomOfTrace returns how much may be told of a new trace.
func (t *Tracker) roomOfTrace() int {
	if t.limits.TreeIntervals == 0 {
		return math.MaxInt / 2 // to which may be added
	}
	return t.limits.TreeIntervals
}

// tell returns how many goroutines have been omitted since it was called last.
func (b *traceBudget) tell() uint32 {
	n := b.omitted
	b.omitted = 0
	return n
}

// full returns the budget of the trace that a new goroutine belongs to if it is used up. What an omitted goroutine creates is
// omitted too, as long as the creator is young: it would have no parent.
func (t *Tracker) full(e *Event, owner *episode) *traceBudget {
	if b := t.omitted[e.Parent]; b != nil && !e.Root {
		return b
	}
	if owner != nil && owner.root.budget.left <= 0 {
		return &owner.root.budget
	}
	return nil
}
