package follow

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// moment is a time, in ns of CLOCK_MONOTONIC, and how much processor time a process had used by then; 0 if it is not known.
type moment struct {
	at  int64
	cpu time.Duration
}

// momentOf returns the present one of a process.
func momentOf(pid int) moment {
	cpu, err := processes.CPUTime(pid)
	if err != nil {
		cpu = 0 // it has ended
	}
	return moment{lifecycle.Now(), cpu}
}

// history is what a process's goroutines did in the stretches for which probes were attached, and what they may have done between those.
type history struct {
	seen      lifecycle.Totals
	estimated *lifecycle.Totals // nil until there is something to estimate

	last   lifecycle.Totals // of the last stretch
	lasted time.Duration
	work   time.Duration // processor time that the process used for its own in the last stretch
	ended  moment
}

const (
	// longestEstimate is the longest time that is judged by the stretch before it.
	longestEstimate = 15 * time.Second
	// leastWork is the part of a process's processor time that it uses for its own, whatever probes seem to have cost.
	leastWork = 0.1
)

// end takes what was seen in a stretch, in which probes cost the process some of its processor time.
func (h *history) end(did lifecycle.Totals, began, ended moment, cost time.Duration) {
	h.seen.Add(did)
	h.last, h.lasted, h.ended = did, time.Duration(ended.at-began.at), ended
	used := ended.cpu - began.cpu
	h.work = max(used-cost, time.Duration(leastWork*float64(used)))
}

// resume estimates what was not seen since the last stretch until now: time passed as it does, and what goroutines did is by the work that
// the process has done.
func (h *history) resume(now moment) {
	missed, work := time.Duration(now.at-h.ended.at), now.cpu-h.ended.cpu
	if h.lasted <= 0 || missed <= 0 || missed > longestEstimate {
		return
	}
	longer := missed.Seconds() / h.lasted.Seconds()
	more := longer
	if work >= 0 && h.work > 0 {
		more = work.Seconds() / h.work.Seconds()
	}
	if h.estimated == nil {
		h.estimated = &lifecycle.Totals{}
	}
	h.estimated.Add(h.last.Times(longer, more))
}
