package lifecycle

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStatesWithinSpans has a goroutine work for spans of the program's own, one after the other: the states that it is in meanwhile, from beginning to
// end, are below these, and what begins or ends outside of them is not.
func TestStatesWithinSpans(t *testing.T) {
	for name, join := range map[string]bool{"joins": true, "links": false} {
		t.Run(name, func(t *testing.T) {
			limits := episodeLimits
			limits.Join, limits.ShortestInterval = join, 0
			s := newScript().start(2, 0, requestPC)
			labels := func(context *SpanContext) { // which the goroutine has when it is off its thread next
				if context != nil {
					s.events = append(s.events, labelled(2, Running, *context))
				}
			}
			off := func(labelled bool) {
				s.waits(2, locking, bodyPC)
				s.events[len(s.events)-1].Labelled = labelled
				s.woken(2, 0)
			}
			off(false)
			labels(&request)
			off(true)
			off(true)
			labels(&query)
			off(true)
			off(false)
			s.exits(2)
			g := handle(NewTracker(limits, fakePlaces{}, NewHomes()), s.events...)[0]
			type is struct {
				State  State
				Within *SpanContext
			}
			var got []is
			for _, i := range g.Intervals {
				if i.State != Runnable {
					got = append(got, is{i.State, i.Within})
				}
			}
			want := []is{
				{Running, nil},
				{Waiting, nil},
				{Running, nil},
				{Waiting, &request},
				{Running, &request},
				{Waiting, &request},
				{Running, nil},
				{Waiting, &query},
				{Running, nil},
				{Waiting, nil},
				{Running, nil},
			}
			if !join {
				for i := range want {
					want[i].Within = nil
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestStatesOfJoinedGoroutines has a goroutine that was created for a span: its states are below its own span, which is below that one.
func TestStatesOfJoinedGoroutines(t *testing.T) {
	limits := episodeLimits
	limits.Join = true
	s := newScript().start(1, 0, requestPC)
	s.events = append(s.events, labelled(2, Dead, request))
	s.start(2, 1, otherPC)
	s.events = append(s.events, labelled(2, Running, request))
	s.waits(2, sleeping, bodyPC)
	s.events[len(s.events)-1].Labelled = true
	s.later(1e6).woken(2, 0).exits(2)
	g := handle(NewTracker(limits, fakePlaces{}, NewHomes()), s.events...)[0]
	if g.Joined != request || len(g.Intervals) != 1 || g.Intervals[0].Within != nil {
		t.Errorf("it is %+v with states %+v", g.Joined, g.Intervals)
	}
}

// TestJoinedWaits has waits at one place be one only if they are for the same span.
func TestJoinedWaits(t *testing.T) {
	other, again := request, request
	at := &Stack{}
	wait := func(start int64, within *SpanContext) Interval {
		return Interval{Start: start, End: start + 1000, State: Waiting, Reason: receiving, Stack: at, Within: within}
	}
	for _, test := range []struct {
		within *SpanContext
		want   int
	}{{&other, 1}, {&again, 1}, {&query, 2}, {nil, 2}} {
		g := live(Limits{Intervals: 10, ShortestInterval: 500}, []Interval{wait(0, &request), {Start: 1000, End: 1010, State: Running}, wait(1010, test.within)})
		if len(g.Intervals) != test.want {
			t.Errorf("%d waits within %v and %v, want %d", len(g.Intervals), request, test.within, test.want)
		}
	}
}
