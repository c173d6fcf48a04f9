package lifecycle

import "slices"

// visit is a read at home that did not have to wait: what it has read may be the next piece of work. While that is not known, intervals are not
// folded: what was before it must be told from what is after it.
type visit struct {
	begin, end int64 // zero if there is none; end is 0 while it reads
	// What was known of the goroutine at the beginning.
	intervals int
	totals    [States]Total
}

func (v visit) pending() bool { return v.begin != 0 }

// startsReading takes the beginning of a system call.
func (t *Tracker) startsReading(g *Goroutine) {
	g.reads = false
	if g.System || t.places == nil || g.current.Stack == nil {
		return
	}
	p := t.places.Read(g.StartPC, g.current.Stack)
	switch {
	case p.Key == 0:
	case p.Listed && p.Opening:
		g.reads = p.Home && g.life == nil
	case p.Listed:
		g.reads = p.Home && g.busy
	default: // what follows a wait, or another call
		g.reads = g.busy && g.life != nil && g.home.Source == Network && g.home.Path == p.Path
	}
	if g.reads {
		g.home = p
		g.visited = visit{begin: g.current.Start, intervals: len(g.Intervals), totals: g.Totals}
	}
}

// hasRead takes the end of the system call; the zero visit is left if it was lost.
func (g *Goroutine) hasRead(e *Event) {
	g.reads = false
	if e.From == Syscall {
		g.visited.end = e.Time
	} else {
		g.visited = visit{}
	}
}

// isOld tells whether a goroutine that has so many intervals has been on and off its thread so often since it has read that it must have found
// something.
func (v visit) isOld(intervals int) bool { return v.end != 0 && intervals-v.intervals >= leastFold }

// confirmVisit splits a goroutine's episode where it has read, if it has done anything with that.
func (t *Tracker) confirmVisit(g *Goroutine) {
	v := g.visited
	if v.end == 0 {
		return
	}
	g.visited = visit{}
	if g.episode == nil || v.begin < g.Start {
		return
	}
	var since []Interval
	for _, i := range g.Intervals[v.intervals:] {
		if i.Start >= v.end {
			since = append(since, i)
		}
	}
	g.budget.left += len(g.Intervals) - v.intervals
	g.Intervals, g.Totals = g.Intervals[:v.intervals], v.totals
	g.wakers = slices.DeleteFunc(g.wakers, func(w waker) bool { return w.at > v.begin })
	t.leave(g, v.begin)
	t.begin(g, v.end, nil, false, Exact)
	for _, i := range since {
		g.add(i, t.limits)
	}
}
