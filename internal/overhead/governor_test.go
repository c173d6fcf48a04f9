package overhead

import (
	"fmt"
	"testing"
	"time"
)

// program is what a simulated program does in a second of one processor.
type program struct {
	cpu                      float64 // seconds without probes
	base, syscalls, sampling float64 // seconds that probes take: always, with those of system calls, with all trees sampled
}

// run lets a program run for a time, and returns the probes' share of its processor time.
func (p program) run(g *Governor, d time.Duration) float64 {
	const step = 100 * time.Millisecond
	var sum Usage
	for range d / step {
		u := Usage{Elapsed: step, CPU: time.Duration(p.cpu * float64(step))}
		if g.Attached() {
			cost := p.base
			if g.Syscalls() {
				cost += p.syscalls
			}
			if g.Level() < NoSyscalls {
				cost += p.sampling * g.Ratio()
			}
			u.Cost = time.Duration(cost * float64(step))
			u.CPU += u.Cost
		}
		g.Observe(u)
		sum.add(u)
	}
	return sum.Share()
}

func TestGovernorKeepsTheBudget(t *testing.T) {
	for _, test := range []struct {
		program
		sampled bool
		level   Level
		least   float64 // share that is made use of
	}{
		{program{cpu: 1, base: 0.02, syscalls: 0.01, sampling: 0.01}, true, Full, 0.03},
		{program{cpu: 1, base: 0.03, syscalls: 0.01, sampling: 0.02}, true, FewerTrees, 0.035},
		{program{cpu: 1, base: 0.04, syscalls: 0.03}, false, NoSyscalls, 0.035},
		{program{cpu: 1, base: 0.07, syscalls: 0.03, sampling: 0.03}, true, Slices, 0.03},
		{program{cpu: 1, base: 0.5, syscalls: 0.2, sampling: 0.3}, true, Slices, 0.03},
		{program{cpu: 2, base: 3}, false, Slices, 0.03},
		{program{cpu: 0.002, base: 0.002, syscalls: 0.002}, false, Full, 0.5}, // next to nothing at all
		{program{}, true, Full, 0},
	} {
		t.Run(fmt.Sprint(test.program), func(t *testing.T) {
			g := NewGovernor(0.05, test.syscalls > 0, test.sampled)
			test.run(g, 5*time.Second)
			share := test.run(g, 59*time.Second)
			if g.Level() != test.level || share < test.least || share > 0.052 && test.level != Full {
				t.Errorf("level %s with a share of %.4f, want %s", g.Level(), share, test.level)
			}
			if !test.sampled && g.Level() == FewerTrees {
				t.Error("fewer trees of none")
			}
		})
	}
}

func TestGovernorTakesSnapshotsAtLast(t *testing.T) {
	g := NewGovernor(0.0005, true, true)
	heavy := program{cpu: 1, base: 1}
	heavy.run(g, 5*time.Second)
	if g.Level() != Snapshots || g.Attached() {
		t.Errorf("level %s, attached %v", g.Level(), g.Attached())
	}
	if share := heavy.run(g, 10*time.Minute); share > 0.002 {
		t.Errorf("looking whether it must still be so takes a share of %.4f", share)
	}
	program{cpu: 1}.run(g, 5*time.Minute)
	if g.Level() != Full {
		t.Errorf("level %s after the program has become calm", g.Level())
	}
}

func TestGovernorRecovers(t *testing.T) {
	g := NewGovernor(0.05, true, true)
	busy, calm := program{cpu: 1, base: 0.5, syscalls: 0.2, sampling: 0.1}, program{cpu: 1, base: 0.005, syscalls: 0.005, sampling: 0.005}
	for round := range 3 {
		busy.run(g, 10*time.Second)
		if g.Level() != Slices {
			t.Fatalf("round %d: level %s of a busy program", round, g.Level())
		}
		calm.run(g, 10*time.Minute)
		if g.Level() != Full || g.Ratio() != 1 || !g.Attached() {
			t.Fatalf("round %d: level %s, ratio %v of a calm program", round, g.Level(), g.Ratio())
		}
	}
}

// A program whose probes fit only without those of system calls is not asked all the time whether they fit with them.
func TestGovernorHasPatience(t *testing.T) {
	g := NewGovernor(0.05, true, false)
	p := program{cpu: 1, base: 0.02, syscalls: 0.1}
	changes, level := 0, Full
	for range 3600 {
		p.run(g, time.Second)
		if g.Level() != level {
			level = g.Level()
			changes++
		}
	}
	if changes > 40 {
		t.Errorf("%d changes of level in an hour", changes)
	}
}
