package lifecycle

// A list of traces by duration shows what is slow only if lives are not in it for as long as they wait for work. So where noise is folded, the span of
// what has a home ends where it was there for the first time, and that of what start-up leaves behind where it waits for the end of the program.

// isResting tells whether a goroutine that serves no piece of work, as it began at start-up or was there before, waits for so long, until a time,
// that it is taken to be at home there.
func (t *Tracker) isResting(g *Goroutine, at int64) bool {
	return t.limits.Hide && t.places != nil && g.life == nil && !g.System && !g.Hidden && g.isLeftBehind(g.episode) &&
		g.hasCurrent && g.current.State == Waiting && at-g.current.Start > int64(t.limits.Outlives)
}

// isLeftBehind tells whether a goroutine whose first episode is given began at start-up, was there before, or was created by one that was.
func (g *Goroutine) isLeftBehind(first *episode) bool {
	return first.isEarly() || g.origin.isEarly()
}

func (e *episode) isEarly() bool { return e != nil && (e.part == startUp || e.part == found) }

// rest has a goroutine be at home since it waits.
func (t *Tracker) rest(g *Goroutine) {
	t.confirmVisit(g)
	g.home, g.inlet = Place{}, inlet{changes: g.inlet.changes + 1}
	t.leave(g, g.current.Start)
}

// endLife ends a life, or a part of it, at a time. Of one that is only at home afterwards, if it has pieces of work or began at start-up, the span ends
// where it was so for the first time.
func (t *Tracker) endLife(life *Goroutine, at int64, why Ending) {
	life.End, life.Ending = at, why
	if t.limits.Hide && (life.Episodes > 0 || life.isLeftBehind(life.last)) {
		life.End, life.Lifetime = life.last.ended, at-life.Start
	}
}

// addLastIdle adds the wait at home in which a life, or a part of it, ends. If it is the only one, the span shows it, unless that has ended before.
func (t *Tracker) addLastIdle(life *Goroutine, wait Interval, end int64) {
	only := life.Episodes == 0
	before := t.limits.Hide && life.isLeftBehind(life.last)
	life.addIdle(wait, end, only && !before, t.limits)
	if only && before {
		wait.Start, wait.End = max(wait.Start, life.Start), end
		life.leaveOut(&[States]Total{}, wait)
	}
}
