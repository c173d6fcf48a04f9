//go:build linux

package session

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/estimate"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// moment is a time, in ns of CLOCK_MONOTONIC, and how much processor time a process had used by then; negative if that is not known.
type moment struct {
	at  int64
	cpu time.Duration
}

// momentOf returns the present one of a process.
func (m *Manager) momentOf(pid int) moment {
	cpu, err := m.host.CPUTime(pid)
	if err != nil {
		cpu = -1 // it has ended
	}
	return moment{m.host.Now(), cpu}
}

// since returns the time from one moment to another.
func (t moment) since(began moment) estimate.Interval {
	i := estimate.Interval{Lasted: time.Duration(t.at - began.at), CPU: -1}
	if t.cpu >= 0 && began.cpu >= 0 {
		i.CPU = t.cpu - began.cpu
	}
	return i
}

// history is what a process's goroutines did in the windows that are over, and what they may have done in the gaps between those.
type history struct {
	windows  int
	seen     lifecycle.Totals
	estimate estimate.Estimator
	ended    moment // the last window
}

// closed takes what was seen in a window, in which following cost the process some of its processor time.
func (h *history) closed(c *closing, cost time.Duration) {
	h.windows++
	h.seen.Add(c.total)
	h.estimate.Saw(c.did, c.ended.since(c.window.began), cost)
	h.ended = c.ended
}

// missed takes the gap from the last window to a moment.
func (h *history) missed(now moment) {
	if h.windows > 0 {
		h.estimate.Missed(now.since(h.ended))
	}
}
