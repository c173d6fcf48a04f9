package overhead

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const pid = 1

// load is what a simulated program does in a second of one processor.
type load struct {
	cpu                      float64 // seconds without probes
	base, syscalls, sampling float64 // seconds that probes take: always, with those of system calls, with all trees sampled
}

func (l load) times(n float64) load {
	return load{l.cpu * n, l.base * n, l.syscalls * n, l.sampling * n}
}

// usage returns what it uses in a time.
func (l load) usage(g *Governor, d time.Duration) Usage {
	u := Usage{CPU: time.Duration(l.cpu * float64(d))}
	if g.Attached() {
		cost := l.base
		if g.Syscalls() {
			cost += l.syscalls
		}
		if g.Level() < NoSyscalls {
			cost += l.sampling * g.Ratio()
		}
		u.Cost = time.Duration(cost * float64(d))
		u.CPU += u.Cost
	}
	return u
}

const step = 100 * time.Millisecond

// simulation lets a Governor decide about a simulated program.
type simulation struct {
	*Governor
	now     time.Duration
	used    Usage // since the last call of run, as is allowed, in seconds
	allowed float64
	changes []Change
}

func simulate(limits Limits, l load) *simulation {
	return &simulation{Governor: NewGovernor(Options{
		Limits: limits, Arbiter: NewArbiter(limits.Host, 2), Syscalls: l.syscalls > 0, Sampled: l.sampling > 0,
	})}
}

// run lets it run for a time, with a load that depends on the time, and returns the probes' share of its processor time.
func (s *simulation) run(d time.Duration, at func(time.Duration) load) float64 {
	s.used, s.allowed, s.changes = Usage{}, 0, nil
	for range d / step {
		s.now += step
		u := at(s.now).usage(s.Governor, step)
		s.used.CPU, s.used.Cost = s.used.CPU+u.CPU, s.used.Cost+u.Cost
		s.allowed += s.limits.ofProcess(u, step)
		if c, is := s.Observe(Observation{Elapsed: step, Processes: map[int]Usage{pid: u}}); is {
			s.changes = append(s.changes, c)
		}
	}
	return float64(s.used.Cost) / float64(max(s.used.CPU, 1))
}

func steady(l load) func(time.Duration) load { return func(time.Duration) load { return l } }

// requests is a load of requests that come by chance, so many a second on average; l is that of one a second.
func requests(l load, perSecond float64, seed uint64) func(time.Duration) load {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(time.Duration) load {
		n := 0
		for limit, p := math.Exp(-perSecond*step.Seconds()), r.Float64(); p > limit; p *= r.Float64() {
			n++
		}
		return l.times(float64(n) / step.Seconds())
	}
}

func TestGovernorKeepsTheBudget(t *testing.T) {
	for _, test := range []struct {
		load
		level Level
		least float64 // share that is made use of
	}{
		{load{cpu: 1, base: 0.02, syscalls: 0.01, sampling: 0.01}, Full, 0.03},
		{load{cpu: 1, base: 0.03, syscalls: 0.01, sampling: 0.02}, FewerTrees, 0.035},
		{load{cpu: 1, base: 0.04, syscalls: 0.03}, NoSyscalls, 0.035},
		{load{cpu: 1, base: 0.07, syscalls: 0.03, sampling: 0.03}, Windows, 0.03},
		{load{cpu: 1, base: 0.5, syscalls: 0.2, sampling: 0.3}, Windows, 0.03},
		{load{cpu: 2, base: 3}, Windows, 0.03},
		{load{cpu: 0.005, base: 0.008, syscalls: 0.008}, Full, 0.5}, // the floor allows it
		{load{}, Full, 0},
	} {
		t.Run(fmt.Sprint(test.load), func(t *testing.T) {
			s := simulate(Limits{Budget: 0.05, Floor: 0.02}, test.load)
			s.run(5*time.Second, steady(test.load))
			share := s.run(59*time.Second, steady(test.load))
			if s.Level() != test.level || share < test.least || share > 0.055 && test.level != Full {
				t.Errorf("level %s with a share of %.4f, want %s", s.Level(), share, test.level)
			}
			if exported := s.Share(pid); math.Abs(exported-share) > 0.015 && test.level != Full {
				t.Errorf("the share that is told is %.4f, and is %.4f", exported, share)
			}
		})
	}
}

// A program of which the probes cost many times the budget has hardly lost anything until they go.
func TestGovernorIsQuickIfItIsFarBeyond(t *testing.T) {
	heavy := load{cpu: 0.3, base: 0.5, syscalls: 0.1, sampling: 0.1}
	s := simulate(Limits{Budget: 0.05, Floor: 0.02}, heavy)
	s.run(300*time.Millisecond, steady(heavy))
	if s.Level() != Windows || s.Attached() || len(s.changes) != 1 {
		t.Errorf("level %s, attached: %v, after %v", s.Level(), s.Attached(), s.changes)
	}
}

func TestGovernorTakesSnapshotsAtLast(t *testing.T) {
	heavy := load{cpu: 1, base: 1, syscalls: 0.1, sampling: 0.1}
	s := simulate(Limits{Budget: 0.0005}, heavy)
	s.run(30*time.Second, steady(heavy))
	if s.Level() != Snapshots || s.Attached() {
		t.Errorf("level %s, attached: %v", s.Level(), s.Attached())
	}
	if share := s.run(30*time.Minute, steady(heavy)); share > 0.0006 {
		t.Errorf("looking whether it must still be so takes a share of %.5f", share)
	}
	s.run(20*time.Minute, steady(load{cpu: 1}))
	if s.Level() != Full {
		t.Errorf("level %s after the program has become calm", s.Level())
	}
}

// A program that comes to rest is seen again all the time soon after.
func TestGovernorIsSoonBackFromWindows(t *testing.T) {
	heavy := load{cpu: 1, base: 1.5, syscalls: 0.1}
	s := simulate(Limits{Budget: 0.05, Floor: 0.02}, heavy)
	for s.run(10*time.Second, steady(heavy)); !s.Attached(); {
		s.run(step, steady(heavy))
	}
	for s.Attached() {
		s.run(step, steady(heavy))
	}
	s.run(firstHold+time.Second, steady(load{}))
	if s.Level() >= Windows {
		t.Errorf("the level is still %s", s.Level())
	}
}

func TestGovernorRecovers(t *testing.T) {
	busy, calm := load{cpu: 1, base: 0.5, syscalls: 0.2, sampling: 0.1}, load{cpu: 1, base: 0.005, syscalls: 0.005, sampling: 0.005}
	s := simulate(Limits{Budget: 0.05, Floor: 0.02}, busy)
	for round := range 3 {
		s.run(10*time.Second, steady(busy))
		if s.Level() != Windows {
			t.Fatalf("round %d: level %s of a busy program", round, s.Level())
		}
		s.run(10*time.Minute, steady(calm))
		if s.Level() != Full || s.Ratio() != 1 || !s.Attached() {
			t.Fatalf("round %d: level %s, ratio %v of a calm program", round, s.Level(), s.Ratio())
		}
	}
}

// mostChanges is how often the level of a program changes in ten minutes, once it has settled: a trial every five minutes whether more fits
// by now, and back.
const mostChanges = 6

// Whatever a program does all the time, its level settles.
func TestGovernorSettles(t *testing.T) {
	for _, ratio := range []float64{0.05, 0.2, 1, 3} { // of what probes cost to what the program uses
		for i, perSecond := range []float64{1, 10, 25, 40, 60, 80, 100, 150, 250, 500} {
			const work = 0.0008 // seconds of a request
			l := load{cpu: work, base: 0.6 * ratio * work, syscalls: 0.3 * ratio * work, sampling: 0.2 * ratio * work}
			s := simulate(Limits{Budget: 0.05, Floor: 0.02, Host: 0.02}, l)
			s.checkSettled(t, fmt.Sprintf("%v requests/s of %v", perSecond, ratio), requests(l, perSecond, uint64(i)))
		}
	}
}

// checkSettled fails if the level goes on to change after some minutes, or if the probes cost more than they may.
func (s *simulation) checkSettled(t *testing.T, name string, at func(time.Duration) load) {
	t.Helper()
	s.run(15*time.Minute, at)
	settled := s.Level()
	s.run(10*time.Minute, at)
	if len(s.changes) > mostChanges {
		t.Errorf("%s: %d changes in ten minutes after the level %s: %v", name, len(s.changes), settled, s.changes)
	}
	if allowed := min(s.allowed, s.limits.Host*2*600); s.used.Cost.Seconds() > 1.05*allowed {
		t.Errorf("%s: the probes took %v in ten minutes, allowed are %.1f s", name, s.used.Cost, allowed)
	}
}

// Loads that come and go settle too.
func TestGovernorSettlesWithBursts(t *testing.T) {
	busy := load{cpu: 0.5, base: 0.2, syscalls: 0.1, sampling: 0.1}
	idle := busy.times(0.01)
	for _, period := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute} {
		for _, part := range []float64{0.03, 0.1, 0.3, 0.7} {
			isBusy := func(now time.Duration) bool { return now%period < time.Duration(part*float64(period)) }
			s := simulate(Limits{Budget: 0.05, Floor: 0.02, Host: 0.02}, busy)
			s.checkSettled(t, fmt.Sprintf("busy for %v of %s", part, period), func(now time.Duration) load {
				if isBusy(now) {
					return busy
				}
				return idle
			})
			sawtooth := simulate(Limits{Budget: 0.05, Floor: 0.02, Host: 0.02}, busy)
			sawtooth.checkSettled(t, fmt.Sprintf("sawtooth to %v in %s", part, period), func(now time.Duration) load {
				return busy.times(part * float64(now%period) / float64(period))
			})
		}
	}
}

// A program that needs next to nothing keeps its probes whatever share that is, as long as the machine has room.
func TestGovernorFloor(t *testing.T) {
	small := load{cpu: 0.02, base: 0.008, syscalls: 0.004, sampling: 0.003}
	for _, test := range []struct {
		limits Limits
		level  Level
	}{
		{Limits{Budget: 0.05, Floor: 0.02}, Full},
		{Limits{Budget: 0.05, Floor: 0}, Windows},
		{Limits{Budget: 0.05, Floor: 0.02, Host: 0.002}, Windows}, // of two processors
	} {
		s := simulate(test.limits, small)
		s.run(time.Minute, requests(small.times(1.0/25), 25, 1))
		if s.Level() != test.level {
			t.Errorf("level %s with %+v, want %s", s.Level(), test.limits, test.level)
		}
	}
}

// Without a budget, nothing changes whatever probes cost.
func TestGovernorWithoutABudget(t *testing.T) {
	heavy := load{cpu: 1, base: 3, sampling: 1}
	s := simulate(Limits{Floor: 0.02, Host: 0.02}, heavy)
	s.run(time.Minute, steady(heavy))
	if s.Level() != Full || !s.Attached() || len(s.changes) > 0 {
		t.Errorf("level %s after %v", s.Level(), s.changes)
	}
}

// Each process has its own budget: that of one does not hide what probes cost another.
func TestGovernorLooksAtEachProcess(t *testing.T) {
	g := NewGovernor(Options{Limits: Limits{Budget: 0.05, Floor: 0.001}, Arbiter: NewArbiter(0, 2)})
	small := Usage{CPU: step / 50, Cost: step / 100}
	busy := Usage{CPU: step, Cost: step / 100}
	for range 20 {
		if c, is := g.Observe(Observation{Elapsed: step, Processes: map[int]Usage{7: small, 8: busy}}); is {
			if c.Reason != Budget || c.PID != 7 || c.To <= c.From {
				t.Errorf("%+v, want less because of process 7", c)
			}
			return
		}
	}
	t.Error("the level does not change")
}

// What probes cost processes that are not followed makes less be seen of those that are, and the reason is told.
func TestGovernorSparesProcessesThatAreNotFollowed(t *testing.T) {
	g := NewGovernor(Options{Limits: Limits{Budget: 0.05}, Arbiter: NewArbiter(0, 2)})
	observe := func(unfollowed time.Duration) (last Change) {
		for range 3000 {
			o := Observation{Elapsed: step, Processes: map[int]Usage{pid: {CPU: step / 10}}}
			if g.Attached() {
				o.Unfollowed = unfollowed
			}
			if c, is := g.Observe(o); is {
				last = c
			}
		}
		return last
	}
	if c := observe(step / 2000); c != (Change{}) {
		t.Errorf("%+v, because of next to nothing", c)
	}
	if c := observe(step / 4); c.Reason != Unfollowed || g.Level() < Windows {
		t.Errorf("level %s after %+v", g.Level(), c)
	}
}

func TestCoverage(t *testing.T) {
	heavy := load{cpu: 1, base: 0.5, sampling: 0.1}
	s := simulate(Limits{Budget: 0.05}, heavy)
	s.run(time.Minute, steady(heavy))
	c := s.Coverage()
	seen := c.Attached.Seconds() / c.Elapsed.Seconds()
	if c.Elapsed != time.Minute || seen < 0.05 || seen > 0.2 || c.Traced >= c.Attached {
		t.Errorf("%+v", c)
	}
}

// A process that is never ready to be followed does not keep the probes on.
func TestAttachingForEverEndsAWindow(t *testing.T) {
	heavy := load{cpu: 1, base: 0.5}
	s := simulate(Limits{Budget: 0.05, Floor: 0.02}, heavy)
	cost := time.Duration(0)
	for range 600 {
		o := Observation{Elapsed: step, Processes: map[int]Usage{pid: {CPU: step}}, Attaching: true}
		if s.Attached() {
			o.Unfollowed = step / 2
		}
		cost += o.Unfollowed
		s.Observe(o)
	}
	if share := cost.Seconds() / 60; share > 0.2 {
		t.Errorf("the probes took a share of %.2f", share)
	}
}

// While probes are being put on, hits count as of processes that are not followed, which those are that will be. It is these who pay, and a
// window is as long as something is seen.
func TestAttachingIsChargedToWhoIsToBeFollowed(t *testing.T) {
	heavy := load{cpu: 1, base: 0.5}
	s := simulate(Limits{Budget: 0.05, Floor: 0.02}, heavy)
	s.run(30*time.Second, steady(heavy))
	if s.Level() != Windows {
		t.Fatalf("the level is %s", s.Level())
	}
	for !s.Attached() {
		s.run(step, steady(heavy))
	}
	for range 3 { // it takes the kernel a moment
		s.Observe(Observation{Elapsed: step, Processes: map[int]Usage{pid: {CPU: step}}, Unfollowed: step / 2, Attaching: true})
		if !s.Attached() {
			t.Fatal("the window ends before anything is seen")
		}
	}
	if s.unfollowed.credit < 0 {
		t.Error("what is to be followed is charged to others")
	}
	s.run(step, steady(heavy))
	if owed := s.processes[pid].credit; s.Attached() || owed > -0.15 {
		t.Errorf("attached: %v, owed are %v s", s.Attached(), -owed)
	}
}

// Whatever is observed, the decisions fit together.
func TestGovernorStandsAnyObservation(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		limits := Limits{Budget: r.Float64() / 10, Floor: r.Float64() / 10, Host: r.Float64() / 10}
		g := NewGovernor(Options{Limits: limits, Arbiter: NewArbiter(limits.Host, 1+r.IntN(64)), Syscalls: r.IntN(2) == 0, Sampled: r.IntN(2) == 0})
		duration := func(n float64) time.Duration {
			return time.Duration(math.Pow(r.Float64(), 4) * n * float64(time.Second))
		}
		for range 2000 {
			o := Observation{Elapsed: duration(10), Processes: map[int]Usage{}, Unfollowed: duration(0.1), Attaching: r.IntN(10) == 0}
			for range r.IntN(4) {
				o.Processes[r.IntN(6)] = Usage{CPU: duration(5), Cost: duration(1)}
			}
			before := g.Level()
			c, is := g.Observe(o)
			if is != (g.Level() != before) || is && (c.From != before || c.To != g.Level() || (c.Reason == Room) != (c.To < c.From)) {
				t.Fatalf("seed %d: the level changes from %s to %s, and told is %+v, %v", seed, before, g.Level(), c, is)
			}
			if ratio := g.Ratio(); ratio < 0 || ratio > 1 || g.Level() < Windows && !g.Attached() || g.Level() == FewerTrees && ratio == 1 {
				t.Fatalf("seed %d: level %s, ratio %v, attached: %v", seed, g.Level(), ratio, g.Attached())
			}
		}
	}
}
