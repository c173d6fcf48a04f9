package lifecycle

import (
	"slices"
	"testing"
	"time"
)

// TestOutlives has a request that leaves goroutines behind: the one of which nobody takes notice has a trace of its own, and so has each of its
// later segments; one that has started another, or has woken one, stays where these look for it.
func TestOutlives(t *testing.T) {
	const request, leaked, parent, child, early = 1, 2, 3, 4, 5
	tr := NewTracker(Limits{Intervals: 10, Segment: 10 * time.Second}, fakePlaces{}, NewHomes())
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
