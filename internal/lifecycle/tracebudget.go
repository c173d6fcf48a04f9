package lifecycle

import "math"

// traceBudget is what may still be told of a tree.
type traceBudget struct {
	left    int
	omitted uint32 // goroutines that there was no room for, and of which nobody has been told yet
}

// budgetsAtOnce is for how many trees memory is taken at once.
const budgetsAtOnce = 64

func (t *Tracker) newTraceBudget() *traceBudget {
	if len(t.budgets) == 0 {
		t.budgets = make([]traceBudget, budgetsAtOnce)
	}
	b := &t.budgets[0]
	t.budgets = t.budgets[1:]
	b.left = t.limits.TreeIntervals
	if b.left == 0 {
		b.left = math.MaxInt
	}
	return b
}

// tell returns how many goroutines have been omitted since it was called last.
func (b *traceBudget) tell() uint32 {
	n := b.omitted
	b.omitted = 0
	return n
}

// full returns the budget of the tree that a new goroutine belongs to if it is used up. What an omitted goroutine creates is
// omitted too: it would have no parent.
func (t *Tracker) full(e *Event) *traceBudget {
	if e.Root {
		return nil
	}
	if b := t.omitted[e.Parent]; b != nil {
		return b
	}
	if p := t.creator(e); p != nil && p.budget.left <= 0 {
		return p.budget
	}
	return nil
}
