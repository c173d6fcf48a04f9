package overhead

import "testing"

// TestAlternative lets probes cost too much while the program can be seen in another way: no level falls until that is over.
func TestAlternative(t *testing.T) {
	for name, test := range map[string]struct {
		limits   Limits
		observed Observation
		reason   Reason
		pid      int
	}{
		"budget":     {Limits{Budget: 0.05}, Observation{Processes: map[int]Usage{pid: {CPU: step, Cost: step / 10}}}, Budget, pid},
		"far beyond": {Limits{Budget: 0.05}, Observation{Processes: map[int]Usage{pid: {CPU: step, Cost: step / 2}}}, Budget, pid},
		"host":       {Limits{Budget: 1, Host: 0.01}, Observation{Processes: map[int]Usage{pid: {CPU: step, Cost: step / 10}}}, Host, 0},
		"unfollowed": {Limits{Budget: 0.05}, Observation{Unfollowed: step / 10}, Unfollowed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewGovernor(Options{Limits: test.limits, Arbiter: NewArbiter(test.limits.Host, 2), Sampled: true})
			test.observed.Elapsed, test.observed.Alternative = step, true
			moves := 0
			for range 50 {
				c, is := g.Observe(test.observed)
				if !is {
					continue
				}
				moves++
				if want := (Change{From: Full, To: Full, Reason: test.reason, PID: test.pid, Move: true}); c != want {
					t.Fatalf("%+v, want %+v", c, want)
				}
			}
			if moves < 40 || !g.Attached() {
				t.Fatalf("%d moves, attached: %t", moves, g.Attached())
			}
			test.observed.Alternative = false
			if c, is := g.Observe(test.observed); !is || c.Move || c.To <= Full || c.Reason != test.reason {
				t.Errorf("without an alternative: %+v", c)
			}
		})
	}
}

// TestAlternativeIsNotNeeded has probes cost little.
func TestAlternativeIsNotNeeded(t *testing.T) {
	g := NewGovernor(Options{Limits: Limits{Budget: 0.05}, Arbiter: NewArbiter(0, 2)})
	for range 50 {
		o := Observation{Elapsed: step, Processes: map[int]Usage{pid: {CPU: step, Cost: step / 100}}, Alternative: true}
		if c, is := g.Observe(o); is {
			t.Fatalf("%+v", c)
		}
	}
}
