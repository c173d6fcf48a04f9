package lifecycle

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestOutlives has a request that leaves goroutines behind: the one of which nobody takes notice has a trace of its own, and so has each of its
// later segments; one that has started another, or has woken one, stays where these look for it.
func TestOutlives(t *testing.T) {
	const request, leaked, parent, child, early = 1, 2, 3, 4, 5
	tr := NewTracker(Limits{Intervals: 10, Segment: 10 * time.Second, Outlives: time.Second}, fakePlaces{}, NewHomes())
	s := newScript().start(request, 0, requestPC).start(leaked, request, otherPC).start(parent, request, otherPC).
		start(child, parent, otherPC).start(early, request, otherPC).
		waits(leaked, receiving, bodyPC).waits(parent, locking, bodyPC)
	for _, id := range []uint64{request, early} {
		s.events = append(s.events, exited(s.state[id].Time, s.now, id, id))
	}
	told := map[uint64][]*Goroutine{}
	take := func(all []*Goroutine) {
		for _, g := range slices.Clone(all) {
			told[g.GoID] = append(told[g.GoID], g)
		}
	}
	for _, e := range s.events {
		take(tr.Handle(e))
	}
	take(tr.Segments(s.now+int64(11*time.Second), 100))
	take(tr.Interrupt(s.now+int64(12*time.Second), Unfollowed))

	for _, id := range []uint64{parent, early} {
		if g := told[id][0]; g.Tree.Root != request || g.Outlives || g.Follows {
			t.Errorf("goroutine %d is in the trace %+v", id, g.Tree)
		}
	}
	segments := told[leaked]
	if len(segments) != 2 {
		t.Fatalf("%d segments of the leaked goroutine are told of", len(segments))
	}
	for i, g := range segments {
		if want := (Tree{Root: leaked, Segment: i}); g.Tree != want || !g.Outlives || !g.Follows {
			t.Errorf("segment %d of the leaked goroutine is in the trace %+v", i, g.Tree)
		}
	}
	if p := segments[0].Parent; p.GoID != request || p.Tree.Root != request {
		t.Errorf("its creator is %+v", p)
	}
	if segments[1].Previous != segments[0].ref() {
		t.Errorf("the second segment follows %+v", segments[1].Previous)
	}
}

// TestServicesOutlive has a request leave a worker behind: what it did until then is a part of the request's trace, what it is afterwards has a trace
// of its own, to which its pieces of work have links.
func TestServicesOutlive(t *testing.T) {
	const request, worker, early, late = 1, 2, 3, 4
	for name, idle := range map[string]bool{"noticed as time passes": true, "noticed at its next work": false} {
		t.Run(name, func(t *testing.T) {
			tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
			var all []*Goroutine
			from := 0
			play := func(s *script) {
				all = append(all, handle(tr, s.events[from:]...)...)
				for _, w := range tr.Asked() {
					w.Channels = []Hchan{{Address: workChannel}}
					tr.Learn(w)
				}
				from = len(s.events)
			}
			s := newScript().start(request, 0, requestPC).start(worker, request, otherPC).waits(worker, receiving, ownPC).exits(request)
			play(s)
			ended := s.now - 1000
			play(s.start(early, 0, requestPC).woken(worker, early).waits(worker, receiving, ownPC).exits(early).later(int64(3 * time.Second)))
			if idle {
				all = append(all, tr.Segments(s.now, 10)...)
			}
			play(s.start(late, 0, requestPC).woken(worker, late).waits(worker, receiving, ownPC).exits(late).later(5000))
			all = append(all, tr.Interrupt(s.now, Unfollowed)...)

			var lives, pieces []*Goroutine
			for _, g := range all {
				switch {
				case g.GoID == worker && g.Cause == NoEpisode:
					lives = append(lives, g)
				case g.GoID == worker:
					pieces = append(pieces, g)
				}
			}
			if len(lives) != 2 || len(pieces) != 2 {
				t.Fatalf("told is %v", told(all))
			}
			first, second := lives[0], lives[1]
			if first.Tree.Root != request || first.Outlives || first.End != ended+int64(time.Second) || first.Ending != SegmentEnd {
				t.Errorf("what it is in the request's trace is %+v", first)
			}
			own := Tree{Root: worker, Segment: second.Segment}
			if second.Tree != own || !second.Outlives || !second.Follows || second.Previous != first.ref() || second.Start != first.End || second.InTrace != 1 {
				t.Errorf("what it is afterwards is %+v", second)
			}
			for i, life := range lives {
				if pieces[i].Life != life.ref() || life.Episodes != 1 {
					t.Errorf("piece %d is of %+v, the life is %+v with %d", i, pieces[i].Life, life.ref(), life.Episodes)
				}
				if spent := life.Totals[Waiting].Nanoseconds; spent == 0 || spent > uint64(life.End-life.Start) {
					t.Errorf("part %d of %d ns has waited for %d", i, life.End-life.Start, spent)
				}
			}
			if pieces[1].Segment == second.Segment {
				t.Error("two segments have the same number")
			}
		})
	}
}

// TestWorkOutlivesItsRequest has a request start a goroutine that starts others for longer than the trace goes on: what it does from then on has a trace
// of its own.
func TestWorkOutlivesItsRequest(t *testing.T) {
	const request, leaked, child, later = 1, 2, 3, 4
	tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
	s := newScript().start(request, 0, requestPC).start(leaked, request, otherPC).start(child, leaked, otherPC).exits(child).exits(request)
	all := handle(tr, s.events...)
	all = append(all, tr.Segments(s.now+int64(time.Second)/2, 10)...)
	s.later(int64(2 * time.Second))
	all = append(all, tr.Segments(s.now, 10)...)
	from := len(s.events)
	all = append(all, handle(tr, s.start(later, leaked, otherPC).exits(later).exits(leaked).events[from:]...)...)
	want := []string{"3.0 in 1.0 of 2.0", "1.0 in 1.0", "2.0 in 1.0 of 1.0", "4.0 in 2.1 of 2.1", "2.1 in 2.1 after 1.0"}
	if diff := cmp.Diff(want, told(all)); diff != "" {
		t.Error(diff)
	}
	if last := all[len(all)-1]; !last.Outlives || last.Previous.Tree.Root != request {
		t.Errorf("the last is %+v", last)
	}
}
