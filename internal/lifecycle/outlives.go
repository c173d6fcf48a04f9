package lifecycle

// isOver tells whether an episode is in a trace that another has begun, and that has ended so long before a time that it goes on no more.
func (t *Tracker) isOver(e *episode, at int64) bool {
	root := e.root
	return root != e && root.ended != 0 && at-root.ended > int64(t.limits.Outlives)
}

// detach gives what goes on for long after the root of its trace has ended a trace of its own, if nothing that was told of belongs to it: a
// goroutine that a request leaks would make its trace as long as the process lives.
func (t *Tracker) detach(g *Goroutine, e *episode, at int64) {
	if !t.isOver(e, at) || e.hasChildren || e.woke != nil || e.wokeMore {
		return
	}
	room := len(g.Intervals) + 1
	e.root.budget.left += room
	t.root(g, e)
	e.budget.left -= room
}

// root gives what a goroutine does in an episode from now on a trace of its own.
func (t *Tracker) root(g *Goroutine, e *episode) {
	e.root, e.episodes, e.budget = e, 1, t.newBudget()
	g.budget = &e.budget
	g.Tree, g.Follows, g.Outlives = Tree{Root: g.GoID, Segment: g.Segment}, true, true
	e.ref = g.ref()
}

// detachLife ends the part of a life that is told in the trace of the goroutine's creator, if that is over at a time: what its episodes link to from
// now on is a trace of its own.
func (t *Tracker) detachLife(g *Goroutine, at int64) {
	if g.life == nil || !t.isOver(g.life.last, at) || t.limits.Hide && g.life.last.early { // that makes no trace long: its span ends at home
		return
	}
	life, first := *g.life, g.life.last
	end := max(g.last.ended, min(first.root.ended+int64(t.limits.Outlives), at))
	if g.idle && g.hasCurrent && g.current.State == Waiting {
		t.addIdle(&life, g.current, end)
	}
	t.endLife(&life, end, SegmentEnd)
	if !first.untold {
		t.tell(&life)
	}
	next := g.life
	next.Previous, next.Continues = life.ref(), true
	next.Segment, next.Start, next.Episodes = g.nextSegment(), end, 0
	next.last = &episode{begun: end, ended: end}
	t.root(next, next.last)
	next.Intervals, next.Contexts, next.Unshown, next.wakers = nil, nil, nil, nil
	next.reset()
}
