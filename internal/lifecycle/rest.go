package lifecycle

// A list of traces by duration shows what is slow only if lives are not in it for as long as they wait for work. So where noise is folded, the span of
// what has a home ends where it was there for the first time, and that of what start-up leaves behind where it waits for the end of the program.

// isEarlyAt tells whether a goroutine that an episode creates at a time is a part of start-up, or of what was there before, as far as it is waited for.
func (e *episode) isEarlyAt(at int64) bool { return e != nil && e.early && at-e.begun <= startUpLasts }

// isResting tells whether a goroutine that serves no piece of work, as it began at start-up or was there before, waits for so long, until a time,
// that it is taken to be at home there.
func (t *Tracker) isResting(g *Goroutine, at int64) bool {
	return t.limits.Hide && t.places != nil && g.life == nil && !g.System && !g.Hidden && g.episode.early &&
		g.hasCurrent && g.current.State == Waiting && at-g.current.Start > int64(t.limits.Outlives)
}

// rest has a goroutine be at home since it waits. It may be so already, but for the work that had created it.
func (t *Tracker) rest(g *Goroutine) {
	t.confirmVisit(g)
	if !g.atHome {
		g.home, g.inlet = Place{}, inlet{changes: g.inlet.changes + 1}
	}
	g.atHome = false
	t.leave(g, g.current.Start)
}

// endLife ends the life of a goroutine that has been at home, or a part of it, at a time.
func (t *Tracker) endLife(life *Goroutine, at int64, why Ending) {
	at = max(at, life.Start) // what is told late may be of the part before
	life.End, life.Ending = at, why
	if t.limits.Hide {
		life.End, life.Lifetime = life.last.ended, at-life.Start
	}
}

// addIdle adds a wait at home that ends at a time to a life. Its span shows the first if that is not hidden.
func (t *Tracker) addIdle(life *Goroutine, wait Interval, end int64) {
	wait.Start, wait.End = max(wait.Start, life.Start), end
	switch {
	case wait.End <= wait.Start:
	case life.Episodes == 0 && !t.limits.Hide:
		life.add(wait, t.limits)
	default:
		life.Totals[Waiting].Count++
		life.Totals[Waiting].Nanoseconds += uint64(wait.End - wait.Start)
		life.leaveOut(&[States]Total{}, wait)
	}
}
