package lifecycle

import "slices"

// visit is a read at home that did not have to wait: what it has read may be the next piece of work.
type visit struct {
	begin, end int64
	// What was known of the goroutine at the beginning.
	intervals int
	totals    [States]Total
}

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

// confirmVisit splits a goroutine's episode where it has read, if it has done anything with that.
func (t *Tracker) confirmVisit(g *Goroutine) {
	v := g.visited
	if v.end == 0 {
		return
	}
	g.visited = visit{}
	if g.episode == nil || v.begin < g.Start || v.intervals < g.folding.done || v.intervals > len(g.Intervals) {
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
	t.begin(g, v.end, nil, false)
	for _, i := range since {
		g.add(i, t.limits)
	}
}
