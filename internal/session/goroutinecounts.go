//go:build linux

package session

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// goroutineCounts is what there was when the goroutines of all processes were counted one by one, which began at a time in ns of
// CLOCK_MONOTONIC.
type goroutineCounts struct {
	at   int64
	byID map[engine.ID]*waitstats.Count
	took time.Duration
	err  error
}

// longest is how long a collection may wait for goroutines to be counted. Of a million, it takes tenths of a second.
const longest = 100 * time.Millisecond

// countsCache keeps goroutineCounts. It is not safe for concurrent use.
type countsCache struct {
	count func() goroutineCounts
	// start runs a function in the background.
	start func(func())

	last   goroutineCounts
	coming chan goroutineCounts // nil while goroutines are not being counted
}

// get returns counts of now, or those that were begun at the call before if it takes long to count.
func (c *countsCache) get() goroutineCounts {
	if c.last.took < longest {
		c.last = c.count()
		return c.last
	}
	select {
	case c.last = <-c.coming:
		c.coming = nil
	default:
	}
	if c.coming == nil && c.last.took >= longest {
		c.begin()
	}
	return c.last
}

func (c *countsCache) begin() {
	coming := make(chan goroutineCounts, 1)
	c.coming = coming
	c.start(func() { coming <- c.count() })
}

// countGoroutines counts those that the engine knows.
func (m *Manager) countGoroutines() goroutineCounts {
	began := time.Now()
	n := goroutineCounts{at: m.host.Now(), byID: map[engine.ID]*waitstats.Count{}}
	blockedBefore := n.at - int64(m.options.BlockedAfter)
	n.err = m.engine.Goroutines(func(of engine.ID, r waitstats.Goroutine) {
		if n.byID[of] == nil {
			n.byID[of] = &waitstats.Count{}
		}
		n.byID[of].Add(r, blockedBefore)
	})
	n.took = time.Since(began)
	return n
}
