//go:build linux

package trampoline

import (
	"maps"

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
	system    map[uint64]uint64 // for how long goroutines of the runtime itself ran, by start function, in ns
	lines     lines
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

// systemRun adds for how long a goroutine of the runtime itself ran. There are few functions of the runtime that goroutines begin in.
func (f *figures) systemRun(startPC, ns uint64) {
	if f.system == nil {
		f.system = map[uint64]uint64{}
	}
	if _, known := f.system[startPC]; known || len(f.system) < maxFunctions {
		f.system[startPC] += ns
	}
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
	d.System = maps.Clone(f.system)
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
