package lifecycle

// keepAt keeps of what a goroutine did at a time the interval in which it was then, as a link leads to it from what it has woken. It reports whether
// there is one, in the episode that it was in or, if that was its first, in its life: what has been told already, or is not told at all, leads nowhere.
func (t *Tracker) keepAt(address uint64, by *episode, at int64) bool {
	g := t.live[address]
	switch {
	case g == nil || g.Hidden || by == nil || by.untold || by.part == carrying:
		return false
	case g.episode == by:
		return g.keepCurrent(at) || g.keepPast(at)
	case g.life != nil && g.life.last == by:
		return g.life.keepPast(at)
	}
	return false
}

// keepCurrent keeps the interval in which the goroutine is, if it runs and did so at a time. What woke another then may have been noted by another
// processor.
func (g *Goroutine) keepCurrent(at int64) bool {
	is := g.hasCurrent && g.current.State == Running && g.current.Start <= at+slack
	g.current.Linked = g.current.Linked || is
	return is
}

// keepPast keeps the newest interval in which it was running at a time.
func (g *Goroutine) keepPast(at int64) bool {
	for i := len(g.Intervals) - 1; i >= 0 && g.Intervals[i].End >= at-slack; i-- {
		if s := &g.Intervals[i]; s.State == Running && s.Start <= at+slack {
			s.Linked = true
			return true
		}
	}
	return false
}

// unlinked names the goroutine alone.
func (r Ref) unlinked() Ref { return Ref{GoID: r.GoID, StartPC: r.StartPC} }

// mayVanish tells whether an episode will have no span if it does no more than it has done: it has only created a goroutine that is no part of it.
func (e *episode) mayVanish() bool {
	return e.ended == 0 && e.created && e.isAlone()
}

// linkWait has a wait that another goroutine has ended name that one's episode, which is kept to show what it did then. A wait that is folded needs no
// link, and to an episode that may vanish there is none: the wait may be told of before that is known.
func (t *Tracker) linkWait(s *Interval, e *Event, by *episode) {
	s.Waker = by.refOr(e.WakerGoID)
	if by != nil && by.mayVanish() || (s.Linked || s.Duration() >= int64(t.limits.ShortestInterval)) && !t.keepAt(e.Waker, by, e.Time) {
		s.Waker = s.Waker.unlinked()
	}
}

// linkEpisode does the same for the episode that a goroutine begins, if that is no part of the other one's work.
func (t *Tracker) linkEpisode(g *Goroutine, e *Event, by *episode) {
	switch {
	case !g.Follows || !g.Parent.Followed() || g.episode.part == carrying:
	case !t.keepAt(e.Waker, by, e.Time):
		g.Parent = g.Parent.unlinked()
	case by.mayMove():
		g.wakers = append(g.wakers, waker{g.Start, by})
	}
}

// mayMove tells whether it may turn out at the end of an episode that it belongs to another trace, or that it is not told of.
func (e *episode) mayMove() bool { return e.root == e && e.ended == 0 }
