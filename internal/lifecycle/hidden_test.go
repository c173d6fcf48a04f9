package lifecycle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// playHidden feeds a script's events, and all that is still there at its end, and returns what is told first, by goroutine.
func playHidden(limits Limits, s *script) map[uint64]*Goroutine {
	tr := NewTracker(limits, fakePlaces{}, NewHomes())
	told := map[uint64]*Goroutine{}
	take := func(all []*Goroutine) {
		for _, g := range all {
			if told[g.GoID] == nil {
				told[g.GoID] = g
			}
		}
	}
	for _, e := range s.events {
		take(slices.Clone(tr.Handle(e)))
	}
	take(tr.Segments(s.now+int64(limits.Segment), 100))
	take(tr.Interrupt(s.now+2*int64(limits.Segment), Unfollowed))
	return told
}

// TestHidden has a worker with a library's helper that wakes it and starts another goroutine, one of the runtime that starts one, and two that
// were there before, of which one never moves.
func TestHidden(t *testing.T) {
	const worker, helper, child, system, callback, idle, moved = 1, 2, 3, 4, 5, 6, 7
	s := newScript().start(worker, 0, otherPC).start(helper, worker, helperPC).start(child, helper, otherPC).
		waits(worker, locking, bodyPC).woken(worker, helper).
		start(system, 0, otherPC).start(callback, system, otherPC)
	for _, e := range s.events {
		if e.Kind == Created && e.G == system {
			e.System = true
		}
	}
	for _, g := range []uint64{idle, moved} {
		e := created(s.now, g, g, 0, true)
		e.Preexisting, e.To, e.ToReason = true, Waiting, receiving
		s.events = append(s.events, e)
		s.state[g] = e
	}
	s.later(1000).woken(moved, 0)
	for _, test := range []struct {
		hide bool
		want []uint64
	}{
		{true, []uint64{worker, child, callback, moved}},
		{false, []uint64{worker, helper, child, system, callback, idle, moved}},
	} {
		t.Run(fmt.Sprintf("hide=%v", test.hide), func(t *testing.T) {
			told := playHidden(Limits{Intervals: 10, Segment: time.Second, Outlives: time.Second, Hide: test.hide}, s)
			var got []uint64
			for id := range told {
				got = append(got, id)
			}
			slices.Sort(got)
			if d := cmp.Diff(test.want, got); d != "" {
				t.Fatal(d)
			}
			parent, helpers := uint64(helper), uint32(0)
			if test.hide {
				parent, helpers = worker, 1
			}
			if p := told[child].Parent; p.GoID != parent || told[child].Tree.Root != worker {
				t.Errorf("what the helper started is in %+v, and has the parent %+v", told[child].Tree, p)
			}
			if n := told[worker].Helpers; n != helpers {
				t.Errorf("the worker has %d helpers, want %d", n, helpers)
			}
			if p := told[callback].Parent; test.hide && p.Followed() {
				t.Errorf("what the runtime's own goroutine started has the parent %+v", p)
			}
		})
	}
}

// TestWakerIsHidden has a wait that a helper ends: who did it is told, but no link leads to what is not there.
func TestWakerIsHidden(t *testing.T) {
	s := newScript().start(1, 0, otherPC).start(2, 1, helperPC).waits(1, locking, bodyPC).woken(1, 2)
	told := playHidden(Limits{Intervals: 10, Segment: time.Second, Outlives: time.Second, Hide: true}, s)[1]
	i := slices.IndexFunc(told.Intervals, func(s Interval) bool { return s.State == Waiting })
	if i < 0 {
		t.Fatalf("its wait is not told of: %+v", told.Intervals)
	}
	if got := told.Intervals[i].Waker; got != (Ref{GoID: 2}) {
		t.Errorf("it was woken by %+v", got)
	}
}

// TestRequestWithHelper has a connection that serves one request, for which a library starts a helper and nothing else, and is closed: that the
// helper is hidden does not make the request one that nobody made.
func TestRequestWithHelper(t *testing.T) {
	s := newScript().start(1, 0, libraryPC).waits(1, reading, peekPC).woken(1, 0).start(2, 1, helperPC).waits(1, sleeping, bodyPC).woken(1, 0).
		exits(2).exits(1)
	tr := NewTracker(Limits{Intervals: 10, Segment: time.Second, Outlives: time.Second, Hide: true}, fakePlaces{}, NewHomes())
	if d := cmp.Diff([]string{"1.1 in 1.1 exact", "1.0 life of 1 in 1.0"}, told(handle(tr, s.events...))); d != "" {
		t.Error(d)
	}
}
