package estimate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
)

var key = lifecycle.HistogramKey{Kind: lifecycle.Wait, Reason: 3}

// did returns what goroutines did that were created so many times, and were in two states.
func did(created uint64, running, waiting time.Duration) (t lifecycle.Totals) {
	t.Counts.Created, t.Counts.Exited = created, created/2
	t.Counts.Time[lifecycle.Running], t.Counts.Time[lifecycle.Waiting] = uint64(running), uint64(waiting)
	t.Histograms = map[lifecycle.HistogramKey]*lifecycle.Histogram{key: {Buckets: map[int]uint64{7: created}, Count: created, Sum: 1000 * created}}
	t.Functions = map[uint64]lifecycle.Lives{5: {Created: created, Exited: created / 2}}
	t.System = map[uint64]uint64{6: 10 * created}
	t.Runs = map[uint64]uint64{7: 20 * created}
	return t
}

func TestGap(t *testing.T) {
	for name, test := range map[string]struct {
		gap              Interval
		created          uint64
		running, waiting time.Duration
		none             bool
	}{
		// In the window, the program did 0.4 s of its own.
		"as much work":      {gap: Interval{5 * time.Second, 400 * time.Millisecond}, created: 100, running: 400 * time.Millisecond, waiting: 49600 * time.Millisecond},
		"no work":           {gap: Interval{5 * time.Second, 0}, waiting: 50 * time.Second},
		"three times as":    {gap: Interval{time.Second, 1200 * time.Millisecond}, created: 300, running: 1200 * time.Millisecond, waiting: 8800 * time.Millisecond},
		"the program ended": {gap: Interval{2 * time.Second, -1}, created: 200, running: 2 * time.Second, waiting: 18 * time.Second},
		"too long":          {gap: Interval{20 * time.Second, 9 * time.Second}, none: true},
		"no gap":            {none: true},
	} {
		t.Run(name, func(t *testing.T) {
			var e Estimator
			e.Missed(Interval{time.Second, time.Second})
			if e.Totals() != nil {
				t.Fatal("something is estimated of a process that has just been found")
			}
			e.Saw(did(100, time.Second, 9*time.Second), Interval{time.Second, time.Second}, 600*time.Millisecond)
			e.Missed(test.gap)
			n := e.Totals()
			if test.none {
				if n != nil {
					t.Errorf("estimated are %+v", n)
				}
				return
			}
			if n.Counts.Created != test.created || n.Counts.Exited != test.created/2 || n.Functions[5].Created != test.created || n.System[6] != 10*test.created || n.Runs[7] != 20*test.created {
				t.Errorf("estimated are %+v, want %d goroutines", n, test.created)
			}
			near(t, "running", n.Counts.Time[lifecycle.Running], test.running)
			near(t, "waiting", n.Counts.Time[lifecycle.Waiting], test.waiting)
			if h := n.Histograms[key]; test.created > 0 && (h.Count != test.created || h.Buckets[7] != test.created || h.Sum != 1000*test.created) {
				t.Errorf("the histogram is %+v", h)
			} else if test.created == 0 && h != nil {
				t.Errorf("there is a histogram of nothing: %+v", h)
			}
		})
	}
}

func near(t *testing.T, what string, ns uint64, want time.Duration) {
	t.Helper()
	if got := time.Duration(ns); (got - want).Abs() > time.Millisecond {
		t.Errorf("%s for %v, want %v", what, got, want)
	}
}

// A window in which next to nothing was done must not tell of a burst: that would be anything.
func TestLittleDoesNotBecomeMuch(t *testing.T) {
	var e Estimator
	e.Saw(did(3, time.Millisecond, time.Second), Interval{100 * time.Millisecond, 50 * time.Microsecond}, 0)
	e.Missed(Interval{10 * time.Second, 20 * time.Second})
	if n := e.Totals().Counts.Created; n > 3*mostTimes {
		t.Errorf("%d goroutines are estimated of 3 that were seen", n)
	}
}

// What is rare adds up over the gaps, though each has less than one.
func TestFractionsAddUp(t *testing.T) {
	var e Estimator
	for range 100 {
		e.Saw(did(1, time.Second, 0), Interval{time.Second, time.Second}, 0)
		e.Missed(Interval{300 * time.Millisecond, 300 * time.Millisecond})
	}
	if n := e.Totals(); n.Counts.Created < 25 || n.Counts.Created > 35 || n.Histograms[key].Count != n.Counts.Created {
		t.Errorf("%d goroutines and %+v are estimated, want 30", n.Counts.Created, n.Histograms[key])
	}
}

// Estimates too few for a single duration have no sum either, and counts are those of the buckets.
func TestEstimatedHistogramsObeyTheDataModel(t *testing.T) {
	seen := lifecycle.Histogram{Buckets: map[int]uint64{5: 3, 9: 1}, Count: 4, Sum: uint64(time.Second)}
	totals := lifecycle.Totals{Histograms: map[lifecycle.HistogramKey]*lifecycle.Histogram{key: &seen}}
	for _, more := range []float64{0, 0.05, 0.3, 1, 2.6} {
		var e Estimator
		e.Saw(totals, Interval{time.Second, time.Second}, 0)
		e.Missed(Interval{time.Second, time.Duration(more * float64(time.Second))})
		h := e.Totals().Histograms[key]
		if h == nil {
			if more*4 > 1 {
				t.Errorf("%v times: there is no histogram", more)
			}
			continue
		}
		if h.Count == 0 || h.Sum == 0 || h.Count != h.Buckets[5]+h.Buckets[9] || math.Abs(float64(h.Count)-4*more) > 1 {
			t.Errorf("%v times: %+v", more, h)
		}
	}
}

// A program that was seen for hours is judged by what it does now.
func TestOldWindowsAreForgotten(t *testing.T) {
	var e Estimator
	e.Saw(did(0, time.Second, 0), Interval{3 * time.Hour, time.Hour}, 0)
	for range 60 {
		e.Saw(did(100, time.Second, 0), Interval{100 * time.Millisecond, 100 * time.Millisecond}, 0)
		e.Missed(Interval{4 * time.Second, 4 * time.Second})
	}
	before := e.Totals().Counts.Created
	e.Missed(Interval{time.Second, time.Second})
	if n := e.Totals().Counts.Created - before; n < 800 || n > 1000 {
		t.Errorf("%d goroutines are estimated, want about 1000", n)
	}
}

// workload is a simulated program: its requests take CPU time, some more and some less, and each is one goroutine. Now and then,
// its garbage is collected.
type workload struct {
	perSecond func(time.Duration) float64
	saturated bool // it does as many as the time that probes leave allows
}

// garbage is how much of its processor time it takes to collect its garbage, often how much that is each time, in seconds.
const garbage, often = 0.25, 0.05

const (
	tick    = 100 * time.Millisecond
	request = 0.0005 // seconds of processor time, without probes
	hit     = 0.0008 // seconds that probes cost a request
)

// simulation lets a Governor and an Estimator look at a workload, of which is known what it did.
type simulation struct {
	random      *rand.Rand
	believed    float64 // what a hit is believed to cost, by what it does
	estimator   Estimator
	governor    *overhead.Governor
	window, gap Interval
	cost        float64
	garbage     float64 // seconds that it takes to collect it
	inWindow    float64 // requests
	seen, truth float64
}

func (s *simulation) tick(now time.Duration, w workload) {
	attached := s.governor.Attached()
	n := s.poisson(w.perSecond(now) * tick.Seconds())
	own, cost := request*math.Exp(0.7*s.random.NormFloat64()-0.7*0.7/2), 0.0
	each := own
	if attached {
		each += hit
	}
	if w.saturated {
		n = math.Round(n * 0.7 * request / each)
	}
	cpu := time.Duration(n * each * float64(time.Second))
	if s.garbage += garbage * n * own; s.garbage > often {
		cpu += time.Duration(s.garbage * float64(time.Second))
		s.garbage = 0
	}
	s.truth += n
	if attached {
		cost = n * hit * s.believed
		s.seen, s.inWindow, s.cost = s.seen+n, s.inWindow+n, s.cost+cost
		s.window = Interval{s.window.Lasted + tick, s.window.CPU + cpu}
	} else {
		s.gap = Interval{s.gap.Lasted + tick, s.gap.CPU + cpu}
	}
	seconds := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }
	s.governor.Observe(overhead.Observation{Elapsed: tick, Processes: map[int]overhead.Usage{1: {CPU: cpu, Cost: seconds(cost)}}})
	switch {
	case attached && !s.governor.Attached():
		s.estimator.Saw(did(uint64(s.inWindow), seconds(s.window.CPU.Seconds()), s.window.Lasted), s.window, seconds(s.cost))
		s.window, s.cost, s.inWindow = Interval{}, 0, 0
	case !attached && s.governor.Attached():
		s.estimator.Missed(s.gap)
		s.gap = Interval{}
	}
}

// poisson draws how many requests come.
func (s *simulation) poisson(mean float64) float64 {
	if mean > 30 {
		return math.Round(max(0, mean+math.Sqrt(mean)*s.random.NormFloat64()))
	}
	n := -1.0
	for limit, p := math.Exp(-mean), 1.0; p > limit; n++ {
		p *= s.random.Float64()
	}
	return n
}

// ratio returns what is told of a workload in some minutes, by what it did.
func (s *simulation) ratio(w workload) float64 {
	for now := time.Duration(0); now < 5*time.Minute; now += tick {
		s.tick(now, w)
	}
	told := s.seen
	if e := s.estimator.Totals(); e != nil {
		told += float64(e.Counts.Created)
	}
	return told / s.truth
}

func constant(perSecond float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return perSecond }
}

// bursts are requests for a part of each period.
func bursts(perSecond float64, period time.Duration, part float64) func(time.Duration) float64 {
	return func(now time.Duration) float64 {
		if now%period < time.Duration(part*float64(period)) {
			return perSecond
		}
		return perSecond / 100
	}
}

// What is seen and what is estimated are together what the program did, within bounds that hold whatever it does. What hits are believed to
// cost matters where they cost more than what the program does for its own.
func TestEstimatesAreNearTheTruth(t *testing.T) {
	full := workload{perSecond: constant(2000), saturated: true}
	for _, test := range []struct {
		name        string
		workload    workload
		believed    float64
		least, most float64 // of the mean of all runs
	}{
		{"20 requests/s", workload{perSecond: constant(20)}, 1, 0.9, 1.1},
		{"100 requests/s", workload{perSecond: constant(100)}, 1, 0.85, 1.2},
		{"400 requests/s", workload{perSecond: constant(400)}, 1, 0.85, 1.2},
		{"under full load", full, 1, 0.8, 1.1},
		{"hits believed too cheap", full, 0.8, 0.55, 0.8},
		{"hits believed too dear", full, 1.25, 1.1, 1.5},
		{"hits believed far too dear", full, 2, 1.5, 3},
		{"bursts each second", workload{perSecond: bursts(1500, time.Second, 0.2)}, 1, 0.85, 1.25},
		{"bursts each 7 s", workload{perSecond: bursts(1500, 7*time.Second, 0.3)}, 1, 0.85, 1.2},
		{"bursts each 30 s", workload{perSecond: bursts(1500, 30*time.Second, 0.5)}, 1, 0.85, 1.2},
		{"short bursts each 10 s", workload{perSecond: bursts(1800, 10*time.Second, 0.05)}, 1, 0.8, 1.2},
		{"waves", workload{perSecond: func(now time.Duration) float64 { return 500 * (1 + math.Sin(now.Seconds()/30)) }}, 1, 0.85, 1.2},
	} {
		t.Run(test.name, func(t *testing.T) {
			const runs = 20
			sum := 0.0
			for seed := range uint64(runs) {
				r := newSimulation(seed, test.believed).ratio(test.workload)
				if r < 0.5 || r > 3.5 {
					t.Errorf("told is %.2f of the truth in run %d", r, seed)
				}
				sum += r
			}
			if mean := sum / runs; mean < test.least || mean > test.most {
				t.Errorf("told is %.2f of the truth on average, want %.2f to %.2f", mean, test.least, test.most)
			}
		})
	}
}

func newSimulation(seed uint64, believed float64) *simulation {
	return &simulation{
		random: rand.New(rand.NewPCG(seed, 0)), believed: believed,
		governor: overhead.NewGovernor(overhead.Options{Limits: overhead.Limits{Budget: 0.05, Floor: 0.005}, Arbiter: overhead.NewArbiter(0, 1)}),
	}
}
