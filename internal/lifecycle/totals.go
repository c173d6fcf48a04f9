package lifecycle

import (
	"maps"
	"math"
	"slices"
)

// Totals is what the goroutines of one process did in a time.
type Totals struct {
	Counts     Counts
	Histograms map[HistogramKey]*Histogram
	// Functions are the lives by the address at which goroutines start, nil if they are not counted.
	Functions map[uint64]Lives
}

// Add adds what they did in a later time. The goroutines that live are those of that time.
func (t *Totals) Add(o Totals) {
	t.Counts.Add(o.Counts)
	if t.Histograms == nil {
		t.Histograms = map[HistogramKey]*Histogram{}
	}
	for key, h := range o.Histograms {
		if t.Histograms[key] == nil {
			t.Histograms[key] = &Histogram{Buckets: map[int]uint64{}}
		}
		t.Histograms[key].add(h)
	}
	if t.Functions == nil && o.Functions != nil {
		t.Functions = map[uint64]Lives{}
	}
	for pc, l := range o.Functions {
		sum := t.Functions[pc]
		t.Functions[pc] = Lives{Created: sum.Created + l.Created, Exited: sum.Exited + l.Exited}
	}
}

// Times returns what they would have done in a time that is as many times as long, if they did as many times as much.
func (t Totals) Times(longer, more float64) Totals {
	scaled := Totals{Histograms: map[HistogramKey]*Histogram{}}
	for s, ns := range t.Counts.Time {
		scaled.Counts.Time[s] = uint64(math.Round(float64(ns) * longer))
	}
	times := func(n uint64) uint64 { return uint64(math.Round(float64(n) * more)) }
	scaled.Counts.Created, scaled.Counts.Exited = times(t.Counts.Created), times(t.Counts.Exited)
	for key, h := range t.Histograms {
		scaled.Histograms[key] = h.times(more)
	}
	if t.Functions != nil {
		scaled.Functions = map[uint64]Lives{}
	}
	for pc, l := range t.Functions {
		scaled.Functions[pc] = Lives{Created: times(l.Created), Exited: times(l.Exited)}
	}
	return scaled
}

// times returns the histogram with as many times as many durations, in whole numbers: what rounding one bucket leaves over goes to the next.
// The mean stays, so that there is no sum without durations.
func (h *Histogram) times(more float64) *Histogram {
	x := &Histogram{Buckets: map[int]uint64{}}
	exact := 0.0
	for _, i := range slices.Sorted(maps.Keys(h.Buckets)) {
		exact += float64(h.Buckets[i]) * more
		if n := uint64(math.Round(exact)) - x.Count; n > 0 {
			x.Buckets[i] = n
			x.Count += n
		}
	}
	if h.Count > 0 {
		x.Sum = uint64(float64(h.Sum) / float64(h.Count) * float64(x.Count))
	}
	return x
}

func (h *Histogram) add(o *Histogram) {
	for i, n := range o.Buckets {
		h.Buckets[i] += n
	}
	h.Count += o.Count
	h.Sum += o.Sum
}

// Add adds the counts of a later time. The goroutines that live are those of that time.
func (n *Counts) Add(o Counts) {
	n.Live = o.Live
	for s, ns := range o.Time {
		n.Time[s] += ns
	}
	n.Created += o.Created
	n.Exited += o.Exited
	n.Transitions += o.Transitions
	n.Repeats += o.Repeats
	n.Resynchronized += o.Resynchronized
	n.Ignored += o.Ignored
	n.EventsLost += o.EventsLost
	n.Untracked += o.Untracked
	n.BucketsLost += o.BucketsLost
	n.TreesWithheld += o.TreesWithheld
}
