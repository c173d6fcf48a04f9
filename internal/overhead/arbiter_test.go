package overhead

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestPartBeside(t *testing.T) {
	for _, test := range []struct {
		others []float64
		all    float64
		want   float64
	}{
		{nil, 0.04, 0.04},
		{[]float64{0}, 0.04, 0.04},
		{[]float64{0.01}, 0.04, 0.03},
		{[]float64{0.03}, 0.04, 0.02},
		{[]float64{0.5, 0.004, 0.5}, 0.04, 0.012},
		{[]float64{1, 1, 1}, 0.04, 0.01},
		{[]float64{1}, math.Inf(1), math.Inf(1)},
	} {
		if part := partBeside(test.others, test.all); math.Abs(part-test.want) > 1e-9 {
			t.Errorf("beside %v of %v there is %v, want %v", test.others, test.all, part, test.want)
		}
	}
}

// machine is some programs whose probes share what the machine allows.
type machine struct {
	loads     []load
	governors []*Governor
	changes   []int
}

func newMachine(limits Limits, processors int, loads ...load) *machine {
	m := &machine{loads: loads, changes: make([]int, len(loads))}
	arbiter := NewArbiter(limits.Host, processors)
	for _, l := range loads {
		m.governors = append(m.governors, NewGovernor(Options{Limits: limits, Arbiter: arbiter, Syscalls: l.syscalls > 0, Sampled: l.sampling > 0}))
	}
	return m
}

// run returns how many processors the probes took.
func (m *machine) run(d time.Duration) float64 {
	clear(m.changes)
	var cost time.Duration
	for range d / step {
		for i, g := range m.governors {
			u := m.loads[i].usage(g, step)
			cost += u.Cost
			if _, is := g.Observe(Observation{Elapsed: step, Processes: map[int]Usage{i: u}}); is {
				m.changes[i]++
			}
		}
	}
	return cost.Seconds() / d.Seconds()
}

// The probes of many programs, each of which is within its own budget, together cost no more than the machine allows. The costliest have to
// see less, those that cost little go on as they do, and nothing flaps.
func TestArbiterKeepsTheHostsLimit(t *testing.T) {
	const host, processors = 0.02, 4
	busy, small := load{cpu: 1, base: 0.03, syscalls: 0.01, sampling: 0.005}, load{cpu: 0.1, base: 0.0004, syscalls: 0.0002, sampling: 0.0001}
	for _, n := range []int{1, 2, 5, 12} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			loads := []load{small, small, small}
			for i := range n {
				loads = append(loads, busy.times(1-0.2*float64(i)/float64(n)))
			}
			m := newMachine(Limits{Budget: 0.05, Floor: 0.02, Host: host}, processors, loads...)
			m.run(10 * time.Minute)
			took := m.run(10 * time.Minute)
			if took > 1.1*host*processors {
				t.Errorf("probes take %.4f processors, allowed are %.4f", took, host*processors)
			}
			for i, g := range m.governors {
				if i < 3 && g.Level() != Full {
					t.Errorf("cheap program %d is at the level %s", i, g.Level())
				}
				if m.changes[i] > mostChanges {
					t.Errorf("program %d has %d changes of level in ten minutes", i, m.changes[i])
				}
			}
			if level := m.governors[3].Level(); (level == Full) != (n == 1) {
				t.Errorf("the costliest program is at the level %s", level)
			}
		})
	}
}

// A program that ends leaves its part to others.
func TestArbiterGivesBack(t *testing.T) {
	busy := load{cpu: 1, base: 0.03, syscalls: 0.01}
	m := newMachine(Limits{Budget: 0.05, Host: 0.03}, 2, busy, busy, busy)
	m.run(time.Minute)
	if level := m.governors[0].Level(); level != Windows {
		t.Fatalf("the first of three is at the level %s", level)
	}
	for _, g := range m.governors[1:] {
		g.Close()
	}
	m.governors = m.governors[:1]
	m.run(10 * time.Minute)
	if level := m.governors[0].Level(); level >= Windows {
		t.Errorf("the only one left is at the level %s", level)
	}
}

// A program whose processes are seen in another way from now on leaves its part at once, to that way too.
func TestArbiterGivesBackAtRest(t *testing.T) {
	const all = 0.04
	a := NewArbiter(all, 1)
	probes, trampolines := NewGovernor(Options{Limits: Limits{Budget: 0.05}, Arbiter: a}), NewGovernor(Options{Limits: Limits{Budget: 0.05, Floor: 1}, Arbiter: a})
	for range 5 * time.Second / step {
		probes.Observe(Observation{Elapsed: step, Processes: map[int]Usage{pid: {CPU: step, Cost: step / 5}}, Alternative: true})
	}
	probes.Rest()
	for range 2 * time.Second / step {
		probes.Observe(Observation{Elapsed: step})
		cost := step * 35 / 1000
		if c, is := trampolines.Observe(Observation{Elapsed: step, Processes: map[int]Usage{pid: {CPU: step, Cost: cost}}}); is {
			t.Fatalf("less is seen, by %s, though nothing else costs anything", c.Reason)
		}
	}
}

// One that descends because of the machine says so.
func TestArbiterIsTheReason(t *testing.T) {
	g := NewGovernor(Options{Limits: Limits{Budget: 0.05, Floor: 0.02, Host: 0.001}, Arbiter: NewArbiter(0.001, 2)})
	for range 100 {
		if c, is := g.Observe(Observation{Elapsed: step, Processes: map[int]Usage{1: {CPU: step, Cost: step / 30}}}); is {
			if c.Reason != Host || c.PID != 0 {
				t.Errorf("%+v, want it to be because of the host", c)
			}
			return
		}
	}
	t.Error("the level does not change")
}
