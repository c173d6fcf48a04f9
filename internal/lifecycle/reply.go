package lifecycle

import (
	"slices"
	"time"
)

// reply is that an episode in which there may be several pieces of work has ended another goroutine's wait for an answer: what follows may be the next
// piece. While that is not known, intervals are not folded: what was before the reply must be told from what is after it.
type reply struct {
	at        int64 // 0 if there was none
	intervals int   // that the goroutine had by then
}

// isOld tells whether a goroutine that has so many intervals has been on and off its thread so often since its reply that it must have gone on to
// something else.
func (r reply) isOld(intervals int) bool { return r.at != 0 && intervals-r.intervals >= leastFold }

// shortestWork is the shortest time in ns between replies that is taken for a piece of work. Who answers several sooner has worked for all of them.
const shortestWork = int64(10 * time.Microsecond)

// answers tells whether a goroutine that ends another one's wait may have done work for it: the other one waited for an answer, does
// something else than this one, and gave nothing to it just now.
func (t *Tracker) answers(g, other *Goroutine, e *Event) bool {
	if other.Hidden || other.System || other.StartPC == g.StartPC || !t.places.Awaits(e.FromReason) {
		return false
	}
	maySend, _ := t.places.Sends(e.FromReason)
	mayTake, _ := g.inlet.takes(e.Channel)
	return !maySend || !mayTake || !g.home.Channels
}

// reply takes that a goroutine ends another one's wait elsewhere than at home. If it has replied to another before, a piece of work ended with that.
func (t *Tracker) reply(g, other *Goroutine, e *Event) {
	by, to := g.episode, other.at(e.Time)
	if by == nil || !by.mixed || to == nil || to.root == by || e.Time <= g.Start || !t.answers(g, other, e) {
		return
	}
	if last := g.replied.at; last != 0 && to.root != by.woke.root {
		if e.Time-last < shortestWork {
			by.wokeMore = true
		} else {
			t.split(g, max(last, min(to.begun, e.Time)))
			by = g.episode
		}
	}
	if by.woke == nil {
		by.woke = to
	}
	by.replier = g
	if g.isFoldDue() {
		g.fold(t.limits)
	}
	g.replied = reply{e.Time, len(g.Intervals)}
}

// afterReply returns the episode to which belongs what a goroutine does in an episode at a time: another one, if it has replied before.
func (t *Tracker) afterReply(e *episode, at int64) *episode {
	if e == nil || e.replier == nil || at <= e.replier.replied.at {
		return e
	}
	g := e.replier
	t.split(g, g.replied.at)
	return g.episode
}

// split ends a goroutine's episode at a moment since its last reply, and begins another one.
func (t *Tracker) split(g *Goroutine, at int64) {
	since := g.takeBack(at)
	first := len(g.wakers)
	for first > 0 && g.wakers[first-1].at > at {
		first--
	}
	wakers := slices.Clone(g.wakers[first:])
	g.wakers = g.wakers[:first]
	if g.current.Start < at {
		g.addOpen(at, t.limits)
	}
	t.leave(g, at)
	t.begin(g, at, nil, true, Unknown)
	for _, i := range since {
		g.add(i, t.limits)
	}
	g.wakers = append(g.wakers, wakers...)
	g.current.Start = max(g.current.Start, at)
}

// takeBack removes from what a goroutine has done what is after a moment since its last reply, and returns it.
func (g *Goroutine) takeBack(at int64) []Interval {
	first := len(g.Intervals)
	for first > 0 && g.Intervals[first-1].End > at {
		first--
	}
	since := slices.Clone(g.Intervals[first:])
	for i, s := range since {
		from := max(s.Start, at)
		g.Totals[s.State].Nanoseconds -= uint64(s.End - from)
		if from == s.Start {
			g.Totals[s.State].Count--
			g.budget.left++
			continue
		}
		g.Intervals[first].End = at
		since[i].Start, since[i].Linked = at, false
		first++
	}
	g.Intervals = g.Intervals[:first]
	return since
}

// settleReply makes what a goroutine has done a part of the work of the one to which it has replied, if it did nothing else for others.
func (t *Tracker) settleReply(g *Goroutine, e *episode) {
	to := e.woke
	if to == nil || e.root != e {
		return
	}
	g.Cause = Unknown
	switch {
	case e.wokeMore, e.created, e.hasChildren, g.Lost > 0, g.Continues:
	case to.part != work, to.begun > e.begun, e.isAnothers(to):
	case t.move(g, e, to):
		g.Cause = Assumed
	}
}

// isAnothers tells whether an episode has begun for another one's work than an episode's, as far as it is known for whom.
func (e *episode) isAnothers(than *episode) bool {
	return e.bringer != nil && e.bringer.root != than.root && !e.bringer.root.mixed
}

// mayBeCut tells whether it may turn out that what is done in an episode is in another span, or trace.
func (e *episode) mayBeCut() bool {
	clean := e.root == e && !e.hasChildren && !e.created && !e.wokeMore
	return e.mixed && e.ended == 0 && (e.replier != nil || clean)
}

// decide settles to which trace an episode belongs that goes on, as far as it has replied.
func (t *Tracker) decide(e *episode) {
	if e.replier != nil {
		t.settleReply(e.replier, e)
	}
}
