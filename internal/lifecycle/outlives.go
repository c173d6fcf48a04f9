package lifecycle

// detach gives what goes on for long after the root of its trace has ended a trace of its own, if nothing that was told of belongs to it: a
// goroutine that a request leaks would make its trace as long as the process lives.
func (t *Tracker) detach(g *Goroutine, e *episode, at int64) {
	root := e.root
	if root == e || root.ended == 0 || at-root.ended <= outlives || e.hasChildren || e.woke != nil || e.wokeMore {
		return
	}
	room := len(g.Intervals) + 1
	root.budget.left += room
	e.root, e.episodes, e.budget.left = e, 1, t.roomOfTrace()-room
	g.budget = &e.budget
	g.Tree, g.Follows, g.Outlives = Tree{Root: g.GoID, Segment: g.Segment}, true, true
	e.ref = g.ref()
}
