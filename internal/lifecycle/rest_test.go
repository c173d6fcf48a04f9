package lifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// span is from when to when that of a life is, in µs, of what states, and for how many µs the goroutine lived, if that is longer.
type span struct {
	Start, End int64
	States     []State
	Lifetime   int64
}

func spanOf(g *Goroutine) span {
	s := span{Start: g.Start / 1000, End: g.End / 1000, Lifetime: g.Lifetime / 1000}
	for _, i := range g.Intervals {
		s.States = append(s.States, i.State)
	}
	return s
}

// second is in µs.
const second = int64(1e6)

// preexisting has the first goroutine of a script be there before it is followed.
func preexisting(s *script) *script {
	s.events[0].Preexisting = true
	return s
}

// minute is the time in ns after which goroutines are looked at that wait.
const minute = int64(time.Minute)

// TestLivesEndAtHome looks at the spans of lives, in the whole or in parts: where noise is folded they end where the goroutine waits for work, but
// what it did in its life is all counted.
func TestLivesEndAtHome(t *testing.T) {
	for name, c := range map[string]struct {
		script       *script
		of           uint64
		folded, kept []span
	}{
		"a connection": {
			connection().waits(2, reading, openPC).later(9000).woken(2, 0).calls(2, bodyPC, 9000).exits(2), 2,
			[]span{{4, 5, []State{Running}, 24}},
			[]span{{4, 28, []State{Running, Waiting}, 0}},
		},
		"what start-up leaves behind": {
			newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC), 2,
			[]span{{1, 2, []State{Running}, 2*minute/1000 + 2}},
			[]span{{1, 2*minute/1000 + 3, []State{Running, Waiting}, 0}},
		},
		"main waits for a signal": {
			newScript().start(1, 0, mainPC).waits(1, receiving, ownPC), 1,
			[]span{{0, 1, []State{Running}, 2*minute/1000 + 2}},
			[]span{{0, 2*minute/1000 + 2, []State{Running, Waiting}, 0}},
		},
		"main waits for what it has started": {
			newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(1, locking, 0).woken(1, 2).exits(1), 1,
			[]span{{0, 5, []State{Running, Waiting, Runnable, Running}, 0}},
			[]span{{0, 5, []State{Running, Waiting, Runnable, Running}, 0}},
		},
		"what a request leaves behind": {
			newScript().start(3, 0, requestPC).start(2, 3, otherPC).waits(2, receiving, ownPC).exits(3), 2,
			[]span{{1, 2*minute/1000 + 4, []State{Running, Waiting}, 0}},
			[]span{{1, 2*minute/1000 + 4, []State{Running, Waiting}, 0}},
		},
		"a worker that begins to wait after its request": {
			newScript().start(3, 0, requestPC).start(2, 3, otherPC).exits(3).waits(2, receiving, ownPC), 2,
			[]span{{1, 3, []State{Running}, second + 1}, {second + 2, second + 2, nil, 2*minute/1000 + 4 - (second + 2)}},
			[]span{{1, second + 2, []State{Running, Waiting}, 0}, {second + 2, 2*minute/1000 + 4, []State{Waiting}, 0}},
		},
		"what the child of one has created that was there before": {
			preexisting(newScript().start(1, 0, mainPC)).start(2, 1, otherPC).start(4, 2, otherPC).waits(4, locking, 0), 4,
			[]span{{2, 3, []State{Running}, 2*minute/1000 + 2}},
			[]span{{2, 2*minute/1000 + 4, []State{Running, Waiting}, 0}},
		},
		"what it has created much later": {
			preexisting(newScript().start(1, 0, mainPC)).later(startUpLasts).start(2, 1, otherPC).waits(2, locking, 0), 2,
			[]span{{5*second + 1, 5*second + 2*minute/1000 + 3, []State{Running, Waiting}, 0}},
			[]span{{5*second + 1, 5*second + 2*minute/1000 + 3, []State{Running, Waiting}, 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for hide, want := range map[bool][]span{true: c.folded, false: c.kept} {
				limits := episodeLimits
				limits.Hide, limits.ShortestInterval = hide, 0
				tr := NewTracker(limits, fakePlaces{}, NewHomes())
				all := handle(tr, c.script.events...)
				all = append(all, tr.Segments(c.script.now+minute, 100)...)
				all = append(all, tr.Interrupt(c.script.now+2*minute, Unfollowed)...)
				var got []span
				for _, g := range all {
					if g.GoID == c.of && g.Cause == NoEpisode {
						got = append(got, spanOf(g))
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("hide=%v: %s", hide, diff)
				}
			}
		})
	}
}

// TestRestingIsWoken has main wait for long, and do something in the end: that is a piece of work, of which nobody knows whose it is.
func TestRestingIsWoken(t *testing.T) {
	limits := episodeLimits
	limits.Hide = true
	tr := NewTracker(limits, fakePlaces{}, NewHomes())
	s := newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(1, locking, 0).start(3, 0, requestPC)
	handle(tr, s.events...)
	if got := told(tr.Segments(s.now+minute, 100)); got != nil {
		t.Errorf("%v is told of at once", got)
	}
	from := len(s.events)
	all := handle(tr, s.later(minute).woken(1, 3).exits(1).exits(3).events[from:]...)
	if diff := cmp.Diff([]string{"1.1 in 1.1 after 3.0 unknown", "1.0 life of 1 in 1.0", "3.0 in 3.0"}, told(all)); diff != "" {
		t.Error(diff)
	}
}

// TestTickingMain has main rest, and start a job each time that a timer wakes it: each is on its own, as nobody knows what main does.
func TestTickingMain(t *testing.T) {
	limits := episodeLimits
	limits.Hide = true
	tr := NewTracker(limits, fakePlaces{}, NewHomes())
	s := newScript().start(1, 0, mainPC)
	var got []string
	from := 0
	for job := uint64(10); job < 13; job++ {
		s.waits(1, receiving, ownPC).later(minute)
		handle(tr, s.events[from:]...)
		got = append(got, told(tr.Segments(s.now, 100))...)
		from = len(s.events)
		got = append(got, told(handle(tr, s.woken(1, 0).start(job, 1, otherPC).exits(job).events[from:]...))...)
		from = len(s.events)
	}
	jobs := slices.DeleteFunc(got, func(of string) bool { return strings.HasPrefix(of, "1.") })
	if diff := cmp.Diff([]string{"10.0 in 10.0 after 1.0", "11.0 in 11.0 after 1.0", "12.0 in 12.0 after 1.0"}, jobs); diff != "" {
		t.Error(diff)
	}
}

// TestLifetimeOfUnseenEnd has a worker's exit be lost long after main has rested: its g is another's.
func TestLifetimeOfUnseenEnd(t *testing.T) {
	limits := episodeLimits
	limits.Hide = true
	tr := NewTracker(limits, fakePlaces{}, NewHomes())
	s := newScript().start(3, 0, requestPC).start(2, 3, otherPC).exits(3).waits(2, receiving, ownPC)
	all := handle(tr, s.events...)
	all = append(all, tr.Segments(s.now+minute, 100)...)
	all = append(all, handle(tr, created(s.now+2*minute, 2, 77, 0, false))...)
	if len(all) < 2 {
		t.Fatalf("%v are told", told(all))
	}
	for _, g := range all {
		if g.Lifetime < 0 || g.End < g.Start {
			t.Errorf("%d.%d from %d to %d has lived for %d ns", g.GoID, g.Segment, g.Start, g.End, g.Lifetime)
		}
	}
}

// TestStartUpIsOneTrace has main rest when it has started workers that wait: none of them needs a trace of its own.
func TestStartUpIsOneTrace(t *testing.T) {
	limits := episodeLimits
	limits.Hide = true
	tr := NewTracker(limits, fakePlaces{}, NewHomes())
	s := newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 1, otherPC).waits(3, receiving, ownPC).waits(1, receiving, ownPC)
	got := told(handle(tr, s.events...))
	got = append(got, told(tr.Segments(s.now+minute, 100))...)
	got = append(got, told(tr.Interrupt(s.now+minute+1, ProcessExit))...)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"1.0 in 1.0", "2.0 in 1.0 of 1.0", "3.0 in 1.0 of 1.0"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRestingWorker has a goroutine that was there before start another, whose worker waits at home for long before that one's work is over.
func TestRestingWorker(t *testing.T) {
	limits := episodeLimits
	limits.Hide = true
	tr := NewTracker(limits, fakePlaces{}, NewHomes())
	s := preexisting(newScript().start(1, 0, mainPC)).start(2, 1, otherPC).start(3, 2, otherPC).waits(3, receiving, ownPC)
	got := told(handle(tr, s.events...))
	got = append(got, told(tr.Segments(s.now+minute, 100))...)
	from := len(s.events)
	got = append(got, told(handle(tr, s.later(2*minute).woken(3, 0).exits(3).exits(2).events[from:]...))...)
	if diff := cmp.Diff([]string{"3.1 in 3.1 exact", "3.0 life of 1 in 2.0 of 2.0", "2.0 in 2.0 after 1.0"}, got); diff != "" {
		t.Error(diff)
	}
}
