//go:build linux

package trampoline

import (
	"github.com/otelgoroutine/goroutinereceiver/internal/buckets"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// figures are the exact ones of a process.
type figures struct {
	counts lifecycle.Counts
	// spent is how long goroutines were in each state: one that enters at t adds -t, one that leaves adds t. With live * now added, it counts
	// those that are in it still.
	spent     [lifecycle.States]int64
	durations [lifecycle.Wait]*durations
	waits     [256]*durations // by reason
	functions map[uint64]lifecycle.Lives
	// runs are nil if they are not counted, system are those of goroutines of the runtime itself.
	runs, system runs
	lines        lines
}

// durations are one distribution.
type durations struct {
	buckets [buckets.Count]uint64
	count   uint64
	sum     uint64 // ns
}

func (f *figures) enter(s lifecycle.State, when int64) {
	f.counts.Live[s]++
	f.spent[s] -= when
}

func (f *figures) leave(s lifecycle.State, when int64) {
	f.counts.Live[s]--
	f.spent[s] += when
}

func (f *figures) duration(kind lifecycle.HistogramKind, reason uint8, ns uint64) {
	of := &f.waits[reason]
	if kind != lifecycle.Wait {
		of = &f.durations[kind]
	}
	if *of == nil {
		*of = &durations{}
	}
	d := *of
	d.buckets[buckets.Of(ns)]++
	d.count++
	d.sum += ns
}

// state adds how long a goroutine was in a state that it leaves for another.
func (f *figures) state(of *goroutine, to lifecycle.State, ns uint64) {
	switch of.state {
	case lifecycle.Runnable:
		if to == lifecycle.Running {
			f.duration(lifecycle.Schedule, 0, ns)
		}
	case lifecycle.Running:
		f.duration(lifecycle.Run, 0, ns)
	case lifecycle.Syscall:
		f.duration(lifecycle.SyscallTime, 0, ns)
	case lifecycle.Waiting:
		f.duration(lifecycle.Wait, of.reason, ns)
		f.lines.waited(of.line, ns)
	}
}

// maxFunctions bounds how many start functions are counted one by one.
const maxFunctions = 8 << 10

// lives adds lives to those of a start function, if such are counted.
func (f *figures) lives(startPC uint64, created, exited uint64) {
	if f.functions == nil {
		return
	}
	n, known := f.functions[startPC]
	if !known && len(f.functions) >= maxFunctions {
		return
	}
	f.functions[startPC] = lifecycle.Lives{Created: n.Created + created, Exited: n.Exited + exited}
}

// runs are for how long goroutines ran, by start function, in ns.
type runs map[uint64]*uint64

// add adds to those of a start function, if such are counted.
func (r runs) add(startPC, ns uint64) {
	if sum := r[startPC]; sum != nil {
		*sum += ns
	} else if r != nil && len(r) < maxFunctions {
		first := ns // not ns itself, which would be allocated in each call
		r[startPC] = &first
	}
}

// sums returns a copy.
func (r runs) sums() map[uint64]uint64 {
	if r == nil {
		return nil
	}
	sums := make(map[uint64]uint64, len(r))
	for pc, ns := range r {
		sums[pc] = *ns
	}
	return sums
}

// until returns the counts at a time, in ns of CLOCK_MONOTONIC.
func (f *figures) until(now int64) lifecycle.Counts {
	n := f.counts
	for s := range lifecycle.States {
		n.Time[s] = uint64(max(f.spent[s]+n.Live[s]*now, 0))
	}
	return n
}

// distributions returns a copy.
func (f *figures) distributions() engine.ProcessDistributions {
	d := engine.ProcessDistributions{Histograms: map[lifecycle.HistogramKey]*lifecycle.Histogram{}, Lines: f.lines.sums()}
	for kind, of := range f.durations {
		if of != nil {
			d.Histograms[lifecycle.HistogramKey{Kind: lifecycle.HistogramKind(kind)}] = of.histogram()
		}
	}
	for reason, of := range f.waits {
		if of != nil {
			d.Histograms[lifecycle.HistogramKey{Kind: lifecycle.Wait, Reason: uint8(reason)}] = of.histogram()
		}
	}
	d.Runs, d.System = f.runs.sums(), f.system.sums()
	if f.functions != nil {
		d.Functions = make(map[uint64]lifecycle.Lives, len(f.functions))
		for pc, n := range f.functions {
			d.Functions[pc] = n
		}
	}
	return d
}

func (d *durations) histogram() *lifecycle.Histogram {
	h := &lifecycle.Histogram{Buckets: map[int]uint64{}, Count: d.count, Sum: d.sum}
	for i, n := range d.buckets {
		if n > 0 {
			h.Buckets[i] = n
		}
	}
	return h
}
