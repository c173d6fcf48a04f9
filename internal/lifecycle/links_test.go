package lifecycle

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// lead is a link to who ended a wait: in ns of the script, when it was, from and to which goroutine, and whether what that one did then is told of.
type lead struct {
	At       int64
	From, To uint64
	Seen     bool
}

// leads returns the links of what is told to who ended a wait, in the order of time.
func leads(all []*Goroutine) (found []lead) {
	add := func(at int64, from uint64, to Ref) {
		if to.Followed() {
			found = append(found, lead{at, from, to.GoID, isSeen(all, to, at)})
		}
	}
	for _, g := range all {
		for _, s := range g.Intervals {
			add(s.End, g.GoID, s.Waker)
		}
		if g.Follows && g.Cause != NoEpisode && !g.Continues {
			add(g.Start, g.GoID, g.Parent)
		}
	}
	slices.SortFunc(found, func(a, b lead) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.From, b.From)) })
	return found
}

// isSeen tells whether an interval is told of in which the goroutine was at a time.
func isSeen(all []*Goroutine, of Ref, at int64) bool {
	return slices.ContainsFunc(all, func(g *Goroutine) bool {
		return g.ref() == of && slices.ContainsFunc(g.Intervals, func(s Interval) bool { return s.Start <= at+slack && at <= s.End+slack })
	})
}

// late moves the last event but n before the one before it, as the events of two processors may come.
func (s *script) late(n int) *script {
	i := len(s.events) - 1 - n
	s.events[i-1], s.events[i] = s.events[i], s.events[i-1]
	return s
}

// pool has worker 2 wait at home for jobs, and a request that goes on.
func pool() *script {
	return newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 1, requestPC)
}

// TestLinksLeadToAState has goroutines wake others, and do so for a moment only, which would be folded otherwise.
func TestLinksLeadToAState(t *testing.T) {
	for name, c := range map[string]struct {
		script *script
		want   []lead
	}{
		"a job that may be another's": {
			pool().woken(2, 3).waits(2, receiving, ownPC).exits(3).exits(2),
			[]lead{{4000, 2, 3, true}},
		},
		"a long wait": {
			pool().woken(2, 3).waits(3, locking, 0).later(5000).woken(3, 2).exits(3).exits(2),
			[]lead{{4000, 2, 3, true}, {12000, 3, 2, true}},
		},
		"the waker waits already, as another processor tells first": {
			pool().becomes(2, Runnable, 0, 0, 3).waits(3, locking, 0).late(0).becomes(2, Running, 0, 0, 0).exits(2).later(9000).woken(3, 0).exits(3),
			[]lead{{4000, 2, 3, true}},
		},
		"the waker has been at home since, for the first time": {
			newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(4, 1, otherPC).becomes(2, Runnable, 0, 0, 4).
				waits(4, receiving, ownPC).late(0).becomes(2, Running, 0, 0, 0).waits(2, receiving, ownPC).woken(4, 0).exits(4).exits(2),
			[]lead{{4000, 2, 4, true}},
		},
		"what the waker did is told of already": {
			newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(4, 1, otherPC).waits(4, reading, ownPC).woken(4, 0).
				start(5, 4, otherPC).becomes(2, Runnable, 0, 0, 4).waits(4, reading, ownPC).late(0).becomes(2, Running, 0, 0, 0).exits(2).exits(5).exits(4),
			nil,
		},
		"the waker is in the trace of a third": {
			pool().waits(3, receiving, nestedPC).start(4, 1, otherPC).waits(4, reading, ownPC).woken(4, 0).becomes(2, Runnable, 0, 0, 4).woken(3, 4).
				waits(4, reading, ownPC).becomes(2, Running, 0, 0, 0).exits(2).exits(3).exits(4),
			[]lead{{9000, 2, 4, true}, {10000, 3, 4, true}},
		},
		"what was offered to a worker": {
			busyWorker().waits(4, sending, 0).woken(4, 2).waits(2, receiving, ownPC).exits(4).exits(3),
			[]lead{{5000, 2, 3, true}, {8000, 2, 4, true}, {8000, 4, 2, true}},
		},
		"who accepts a connection is seen at its start only": {
			newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).waits(1, reading, acceptPC).woken(1, 0).woken(2, 1).exits(2).exits(1),
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			limits := episodeLimits
			limits.Hide = true
			tr := NewTracker(limits, fakePlaces{}, NewHomes())
			var all []*Goroutine
			for _, e := range c.script.events {
				if e.Channel != 0 {
					e.BufferSize = 3
				}
				all = append(all, handle(tr, e)...)
			}
			all = append(all, tr.Interrupt(c.script.now, Unfollowed)...)
			if diff := gocmp.Diff(c.want, leads(all)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
