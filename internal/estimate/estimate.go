// Package estimate tells what the goroutines of a process may have done in the gaps between windows of probes.
//
// It is a ratio estimator: how often goroutines did something in the windows of late, by the processor time that the process used for its
// own in them, multiplied by what it used in the gap. Several windows tell more than the last, and processor time more than time: a program
// under load does in a short gap what it did not do in a long calm window. See docs/overhead.md.
package estimate

import (
	"math"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

const (
	// longestGap is the longest gap that is judged by the windows before it.
	longestGap = 15 * time.Second
	// timeMemory is how far back windows count for the times in states, which change with the load, workMemory how far for what is done by
	// processor time, which changes little: it takes many windows to see in a right proportion what happens now and then, as the collection
	// of garbage. What was before, counts ever less. A window that was longer than longestWindow counts as if it had been as long, or a
	// program that was seen for hours would be judged by those.
	timeMemory, workMemory = 20 * time.Second, 2 * time.Minute
	longestWindow          = 5 * time.Second
	// leastWork is the part of a process's processor time that it uses for its own, whatever probes seem to have cost.
	leastWork = 0.1
	// mostTimes is how many times what was seen is estimated at the most: little that was seen must not become much that was not.
	mostTimes = 100
)

// Interval is a time in which a process ran.
type Interval struct {
	Lasted time.Duration
	// CPU is the processor time that the process used, negative if that is not known.
	CPU time.Duration
}

// Estimator keeps what was seen of late, and sums up what is estimated. It is not safe for concurrent use.
type Estimator struct {
	recent recent
	events sums // in windows of late, and how much work it took, in seconds
	work   float64

	sum   sums
	given bool
}

// recent is what was seen in the last windows.
type recent struct {
	lasted, cpu, work float64                   // seconds; work is cpu without what the probes took
	times             [lifecycle.States]float64 // in ns
}

// Saw takes a window of probes: what goroutines did in it, and how much of the process's processor time the probes took.
func (e *Estimator) Saw(did lifecycle.Totals, window Interval, cost time.Duration) {
	if window.Lasted <= 0 {
		return
	}
	e.forget(window.Lasted)
	weight := min(1, longestWindow.Seconds()/window.Lasted.Seconds())
	cpu := max(window.CPU, 0).Seconds()
	work := max(cpu-cost.Seconds(), leastWork*cpu)
	e.recent.lasted += weight * window.Lasted.Seconds()
	e.recent.cpu += weight * cpu
	e.recent.work += weight * work
	for state, ns := range did.Counts.Time {
		e.recent.times[state] += weight * float64(ns)
	}
	e.work += weight * work
	e.events.addEvents(eventsOf(&did), weight)
}

// Missed takes the gap after a window, and estimates what goroutines did in it, if it is short enough.
func (e *Estimator) Missed(gap Interval) {
	if gap.Lasted <= 0 || e.recent.lasted == 0 {
		return
	}
	if gap.Lasted <= longestGap {
		e.estimate(gap)
	}
	e.forget(gap.Lasted)
}

// forget has what was seen count less after a time.
func (e *Estimator) forget(after time.Duration) {
	kept := math.Exp(-after.Seconds() / timeMemory.Seconds())
	e.recent.lasted, e.recent.cpu, e.recent.work = kept*e.recent.lasted, kept*e.recent.cpu, kept*e.recent.work
	for state := range e.recent.times {
		e.recent.times[state] *= kept
	}
	kept = math.Exp(-after.Seconds() / workMemory.Seconds())
	e.work *= kept
	e.events.scale(kept)
}

func (e *Estimator) estimate(gap Interval) {
	longer := gap.Lasted.Seconds() / e.recent.lasted
	cpu, work := gap.CPU.Seconds(), gap.CPU.Seconds()
	if gap.CPU < 0 {
		cpu, work = longer*e.recent.cpu, longer*e.recent.work
	}
	running := longer
	if e.recent.cpu > 0 {
		running = cpu / e.recent.cpu
	}
	e.sum.addTimes(e.recent.times, longer, running)
	if e.work > 0 {
		e.sum.addEvents(&e.events, min(work/e.work, mostTimes))
	}
	e.given = true
}

// Totals returns what is estimated of all gaps, nil if that is nothing. It only grows.
func (e *Estimator) Totals() *lifecycle.Totals {
	if !e.given {
		return nil
	}
	return e.sum.totals()
}
