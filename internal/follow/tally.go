package follow

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/census"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// tally is what there was when the goroutines of all processes were counted one by one, which began at a time in ns of CLOCK_MONOTONIC.
type tally struct {
	at   int64
	byID map[engine.ID]*census.Count
	took time.Duration
	err  error
}

// longest is how long a collection may wait for a tally. Of a million goroutines, it takes tenths of a second.
const longest = 100 * time.Millisecond

// teller makes tallies. It is not safe for concurrent use.
type teller struct {
	take func() tally
	// start runs a function in the background.
	start func(func())

	last   tally
	coming chan tally // nil while none is being made
}

// tell returns a tally of now, or the one that was begun at the call before if it takes long to make one.
func (t *teller) tell() tally {
	if t.last.took < longest {
		t.last = t.take()
		return t.last
	}
	select {
	case t.last = <-t.coming:
		t.coming = nil
	default:
	}
	if t.coming == nil && t.last.took >= longest {
		t.begin()
	}
	return t.last
}

func (t *teller) begin() {
	coming := make(chan tally, 1)
	t.coming = coming
	t.start(func() { coming <- t.take() })
}

// takeTally counts the goroutines that the probes know.
func (f *Follower) takeTally() tally {
	began := time.Now()
	t := tally{at: lifecycle.Now(), byID: map[engine.ID]*census.Count{}}
	blockedBefore := t.at - int64(f.options.BlockedAfter)
	t.err = f.engine.Goroutines(func(of engine.ID, r census.Resident) {
		if t.byID[of] == nil {
			t.byID[of] = &census.Count{}
		}
		t.byID[of].Take(r, blockedBefore)
	})
	t.took = time.Since(began)
	return t
}
