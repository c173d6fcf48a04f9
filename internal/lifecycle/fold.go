package lifecycle

import (
	"cmp"
	"math"
	"slices"
)

// folding is how far a goroutine's intervals are folded.
type folding struct {
	// done is how many of them are, next of how many the next are.
	done, next int
	// last is the start of the last that is not short, until the time until when only short ones follow it, without a gap; 0 if there is none.
	last, until int64
}

// leastFold is how many intervals gather before they are folded while the goroutine lives, or twice what the fold before left, so that folding
// costs each interval the same however many there are.
const leastFold = maxSpareIntervals

// fold leaves out of a goroutine's intervals what hides more than it tells, and counts it: those shorter than limits.ShortestInterval, and the
// shortest of the others where there are more than limits.Intervals or than the trace has room for. Repeated waits at one place that only
// short intervals interrupt become one. An interval that a link leads to stays, however short it is, but between waits that become one.
func (g *Goroutine) fold(limits Limits) {
	before := len(g.Intervals)
	g.foldShort(int64(limits.ShortestInterval))
	g.budget.left += before - len(g.Intervals)
	most := limits.Intervals
	if g.budget.left < 0 {
		most = min(most, max(0, len(g.Intervals)+g.budget.left))
	}
	before = len(g.Intervals)
	g.dropShortest(most)
	g.budget.left += before - len(g.Intervals)
	g.folding.done, g.folding.next = len(g.Intervals), max(leastFold, 2*len(g.Intervals))
	g.wakers = slices.DeleteFunc(g.wakers, func(w waker) bool {
		_, kept := g.endedAt(w.at)
		return !kept && w.at != g.Start
	})
}

// isFoldDue tells whether so many intervals have gathered that they are to be folded.
func (g *Goroutine) isFoldDue() bool { return len(g.Intervals) >= max(g.folding.next, leastFold) }

// endedAt returns which of the intervals ended at a time, ok is false if it is none.
func (g *Goroutine) endedAt(at int64) (i int, ok bool) {
	return slices.BinarySearchFunc(g.Intervals, at, func(s Interval, at int64) int { return cmp.Compare(s.End, at) })
}

// foldShort folds and joins what has come since the fold before.
func (g *Goroutine) foldShort(shortest int64) {
	f := &g.folding
	kept, added := g.Intervals[:f.done], g.Intervals[f.done:]
	last := f.done - 1
	for last >= 0 && kept[last].Start != f.last {
		last--
	}
	for _, s := range added {
		short := s.Duration() < shortest
		follows := last >= 0 && f.until == s.Start
		switch {
		case !short && follows && kept[last].joins(s, shortest):
			for _, between := range kept[last+1:] {
				g.leaveOut(&g.Folded, between)
			}
			kept = kept[:last+1]
			kept[last].join(s)
			f.until = s.End
			continue
		case !short:
			last, f.last, f.until = len(kept), s.Start, s.End
		case follows:
			f.until = s.End
		}
		if short && !s.Linked {
			g.leaveOut(&g.Folded, s)
		} else {
			kept = append(kept, s)
		}
	}
	g.Intervals = kept
}

// dropShortest leaves so many intervals.
func (g *Goroutine) dropShortest(most int) {
	surplus := len(g.Intervals) - most
	if surplus <= 0 {
		return
	}
	var few [2 * leastFold]int64
	ranks := few[:0]
	for _, s := range g.Intervals {
		ranks = append(ranks, s.rank())
	}
	slices.Sort(ranks)
	highest := ranks[surplus-1] // that is dropped, of which there may be more than are
	lower, _ := slices.BinarySearch(ranks, highest)
	equal := surplus - lower
	g.Intervals = slices.DeleteFunc(g.Intervals, func(s Interval) bool {
		if rank := s.rank(); rank > highest || rank == highest && equal == 0 {
			return false
		} else if rank == highest {
			equal--
		}
		g.leaveOut(&g.Dropped, s)
		if s.Start == g.folding.last {
			g.folding.until = 0
		}
		return true
	})
}

// leaveOut counts an interval that is not told of.
func (g *Goroutine) leaveOut(as *[States]Total, s Interval) {
	as[s.State].Add(s)
	if s.State != Waiting {
		return
	}
	i := slices.IndexFunc(g.Unshown, func(w WaitTotal) bool { return w.Reason == s.Reason })
	if i < 0 {
		i = len(g.Unshown)
		g.Unshown = append(g.Unshown, WaitTotal{Reason: s.Reason})
	}
	g.Unshown[i].Add(s)
}

// Duration is how long the goroutine was in the state, in ns: not the whole of an interval that is joined of several.
func (s Interval) Duration() int64 { return s.End - s.Start - s.Between }

// rank orders intervals by what is lost if they are left out.
func (s Interval) rank() int64 {
	if s.Linked {
		return math.MaxInt64/2 + s.Duration()/2
	}
	return s.Duration() / 2
}

// joins tells whether another interval, which follows after short ones only, is at the same place.
func (s Interval) joins(with Interval, shortest int64) bool {
	return s.Stack != nil && s.Stack == with.Stack && within(s.Within, with.Within) && s.State == with.State && s.Reason == with.Reason &&
		(s.State == Waiting || s.State == Syscall) && with.Start-s.End < shortest
}

func (s *Interval) join(with Interval) {
	s.Between += with.Start - s.End + with.Between
	s.Joined += 1 + with.Joined
	s.End, s.TID, s.Waker = with.End, with.TID, with.Waker
	s.Linked = s.Linked || with.Linked
}

// Add counts an interval.
func (t *Total) Add(s Interval) {
	t.Count += 1 + s.Joined
	t.Nanoseconds += uint64(s.Duration())
}
