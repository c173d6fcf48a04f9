package lifecycle

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// randomScript has goroutines do anything that goroutines can do. Of some the exit is lost, and the g another's.
func randomScript(r *rand.Rand) *script {
	s := newScript().start(1, 0, mainPC)
	awake, asleep, next := []uint64{1}, []uint64{}, uint64(2)
	take := func(from *[]uint64) uint64 {
		i := r.IntN(len(*from))
		g := (*from)[i]
		*from = slices.Delete(*from, i, i+1)
		return g
	}
	starts := []uint64{requestPC, libraryPC, otherPC, helperPC, carrierPC}
	places := []uint64{ownPC, nestedPC, peekPC, openPC, acceptPC, bodyPC}
	reasons := []uint8{receiving, sending, reading, sleeping, locking, selecting}
	for range 300 {
		if r.IntN(20) == 0 {
			s.later(int64(r.IntN(3)) * int64(time.Second))
		}
		switch what := r.IntN(10); {
		case what < 2 && len(awake) > 0:
			s.start(next, awake[r.IntN(len(awake))], starts[r.IntN(len(starts))])
			awake = append(awake, next)
			next++
		case what < 5 && len(awake) > 1:
			g := take(&awake)
			s.waits(g, reasons[r.IntN(len(reasons))], places[r.IntN(len(places))])
			asleep = append(asleep, g)
		case what < 9 && len(asleep) > 0:
			g, by := take(&asleep), uint64(0)
			if r.IntN(3) != 0 {
				by = awake[r.IntN(len(awake))]
			}
			s.by([]uint64{0, workChannel, semaphore}[r.IntN(3)]).woken(g, by)
			awake = append(awake, g)
		case len(awake) > 2:
			g := take(&awake)
			s.exits(g)
			if r.IntN(3) == 0 {
				s.events[len(s.events)-1] = created(s.now, g, g+1000, 0, false)
				s.events = append(s.events, exited(s.now, s.now, g, g+1000))
			}
		}
	}
	return s
}

// TestAnyOrder has goroutines do anything, in any order: what is told of them fits together.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		limits := Limits{Intervals: 100, ShortestInterval: 1500, Hide: seed%4 != 0, Segment: 5 * time.Second, Outlives: time.Second}
		tr := NewTracker(limits, fakePlaces{}, NewHomes())
		var all []*Goroutine
		s, look := randomScript(r), int64(time.Second)
		for _, e := range s.events {
			for ; e.Time > look; look += int64(time.Second) {
				all = append(all, tr.Segments(look, 100)...)
			}
			if e.Channel != 0 {
				e.BufferSize = uint64(r.IntN(2)) * 3
			}
			all = append(all, handle(tr, e)...)
		}
		spans := map[[2]uint64]bool{}
		for _, g := range append(all, tr.Interrupt(s.now, Unfollowed)...) {
			if id := [2]uint64{g.GoID, uint64(g.Segment)}; spans[id] {
				t.Errorf("seed %d: %v is told twice", seed, told([]*Goroutine{g}))
			} else {
				spans[id] = true
			}
			if g.End < g.Start || g.Lifetime < 0 {
				t.Errorf("seed %d: %v from %d to %d has lived for %d ns", seed, told([]*Goroutine{g}), g.Start, g.End, g.Lifetime)
			}
			for i, at := 0, g.Start; i < len(g.Intervals); at, i = g.Intervals[i].End, i+1 {
				if is := g.Intervals[i]; is.Start < at || is.End < is.Start {
					t.Errorf("seed %d: %v has an interval from %d to %d after %d", seed, told([]*Goroutine{g}), is.Start, is.End, at)
				}
			}
		}
	}
}
