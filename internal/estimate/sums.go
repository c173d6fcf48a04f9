package estimate

import (
	"math"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// sums are lifecycle.Totals with fractions: of what is rare, each gap has less than one.
type sums struct {
	time            [lifecycle.States]float64 // in ns
	created, exited float64
	histograms      map[lifecycle.HistogramKey]*histogram
	functions       map[uint64]lives   // nil if they are not counted
	runs            map[uint64]float64 // in ns, nil if they are not added up
	system          map[uint64]float64 // in ns
}

type histogram struct {
	buckets map[int]float64
	sum     float64 // in ns
}

type lives struct{ created, exited float64 }

// eventsOf returns all that was seen but the times in states.
func eventsOf(t *lifecycle.Totals) *sums {
	s := &sums{created: float64(t.Counts.Created), exited: float64(t.Counts.Exited)}
	for key, h := range t.Histograms {
		to := s.histogram(key)
		for i, n := range h.Buckets {
			to.buckets[i] = float64(n)
		}
		to.sum = float64(h.Sum)
	}
	if t.Functions != nil {
		s.functions = map[uint64]lives{}
	}
	for pc, l := range t.Functions {
		s.functions[pc] = lives{float64(l.Created), float64(l.Exited)}
	}
	if t.Runs != nil {
		s.runs = map[uint64]float64{}
	}
	for pc, ns := range t.Runs {
		s.runs[pc] = float64(ns)
	}
	for pc, ns := range t.System {
		s.ranSystem(pc, float64(ns))
	}
	return s
}

// addTimes adds the times in states of a gap that was longer, as many times as it tells; running is how many times as long goroutines ran
// in it. In sum that is as long as all goroutines live: what they do not run, they are in other states.
func (s *sums) addTimes(seen [lifecycle.States]float64, longer, running float64) {
	all := 0.0
	for _, ns := range seen {
		all += longer * ns
	}
	ran := min(running*seen[lifecycle.Running], all)
	others := all - longer*seen[lifecycle.Running]
	for state, ns := range seen {
		switch {
		case lifecycle.State(state) == lifecycle.Running && others > 0:
			s.time[state] += ran
		case others > 0:
			s.time[state] += longer * ns * (all - ran) / others
		default: // they did nothing but run
			s.time[state] += longer * ns
		}
	}
}

// addEvents adds all but the times in states, so many times.
func (s *sums) addEvents(o *sums, times float64) {
	s.created += times * o.created
	s.exited += times * o.exited
	for key, h := range o.histograms {
		to := s.histogram(key)
		for i, n := range h.buckets {
			to.buckets[i] += times * n
		}
		to.sum += times * h.sum
	}
	if s.functions == nil && o.functions != nil {
		s.functions = map[uint64]lives{}
	}
	for pc, l := range o.functions {
		sum := s.functions[pc]
		s.functions[pc] = lives{sum.created + times*l.created, sum.exited + times*l.exited}
	}
	if s.runs == nil && o.runs != nil {
		s.runs = map[uint64]float64{}
	}
	for pc, ns := range o.runs {
		s.runs[pc] += times * ns
	}
	for pc, ns := range o.system {
		s.ranSystem(pc, times*ns)
	}
}

// negligible is what is so little by now that it may as well be forgotten.
const negligible = 1e-3

// scale makes events so many times as many.
func (s *sums) scale(by float64) {
	s.created, s.exited = by*s.created, by*s.exited
	for key, h := range s.histograms {
		for i := range h.buckets {
			if h.buckets[i] *= by; h.buckets[i] < negligible {
				delete(h.buckets, i)
			}
		}
		if h.sum *= by; len(h.buckets) == 0 {
			delete(s.histograms, key)
		}
	}
	for pc, l := range s.functions {
		if s.functions[pc] = (lives{by * l.created, by * l.exited}); by*max(l.created, l.exited) < negligible {
			delete(s.functions, pc)
		}
	}
	for _, runs := range []map[uint64]float64{s.runs, s.system} {
		for pc := range runs {
			if runs[pc] *= by; runs[pc] < negligible {
				delete(runs, pc)
			}
		}
	}
}

func (s *sums) ranSystem(pc uint64, ns float64) {
	if s.system == nil {
		s.system = map[uint64]float64{}
	}
	s.system[pc] += ns
}

func (s *sums) histogram(key lifecycle.HistogramKey) *histogram {
	if s.histograms == nil {
		s.histograms = map[lifecycle.HistogramKey]*histogram{}
	}
	if s.histograms[key] == nil {
		s.histograms[key] = &histogram{buckets: map[int]float64{}}
	}
	return s.histograms[key]
}

// totals returns the sums in whole numbers. A histogram of less than one event is left out: its sum would be of nothing.
func (s *sums) totals() *lifecycle.Totals {
	t := &lifecycle.Totals{Histograms: map[lifecycle.HistogramKey]*lifecycle.Histogram{}, System: map[uint64]uint64{}}
	for state, ns := range s.time {
		t.Counts.Time[state] = whole(ns)
	}
	t.Counts.Created, t.Counts.Exited = whole(s.created), whole(s.exited)
	for key, h := range s.histograms {
		x := &lifecycle.Histogram{Buckets: map[int]uint64{}, Sum: whole(h.sum)}
		for i, n := range h.buckets {
			if whole(n) > 0 {
				x.Buckets[i] = whole(n)
				x.Count += whole(n)
			}
		}
		if x.Count > 0 {
			t.Histograms[key] = x
		}
	}
	if s.functions != nil {
		t.Functions = map[uint64]lifecycle.Lives{}
	}
	for pc, l := range s.functions {
		t.Functions[pc] = lifecycle.Lives{Created: whole(l.created), Exited: whole(l.exited)}
	}
	if s.runs != nil {
		t.Runs = map[uint64]uint64{}
	}
	for pc, ns := range s.runs {
		t.Runs[pc] = whole(ns)
	}
	for pc, ns := range s.system {
		t.System[pc] = whole(ns)
	}
	return t
}

func whole(n float64) uint64 { return uint64(math.Round(n)) }
