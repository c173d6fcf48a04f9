package overhead

import "time"

const (
	// fewer divides the share of trees that are sampled with each rung, fewest is the least that is worth sampling.
	fewer, fewest = 4, 0.01
	// firstHold is for how long probes must have cost little until more is seen again. It doubles up to lastHold each time that this turns
	// out to have been too early, which is when less must be seen again before lastHold is over, and halves else.
	firstHold, lastHold = 10 * time.Second, 5 * time.Minute
)

// rung is one step of how much is seen.
type rung struct {
	level Level
	ratio float64 // which part of the trees is sampled
	// reached is when it was last reached from below, hold for how long the one below must have been comfortable before it is again.
	reached, hold time.Duration
}

// newLadder returns the rungs from the most that is seen to the least. syscalls tells whether there are probes that only see system calls,
// sampled whether trees are sampled.
func newLadder(syscalls, sampled bool) []rung {
	ladder := []rung{{level: Full, ratio: 1}}
	if sampled {
		for ratio := 1.0 / fewer; ratio >= fewest; ratio /= fewer {
			ladder = append(ladder, rung{level: FewerTrees, ratio: ratio})
		}
		ladder = append(ladder, rung{level: FewerTrees})
	}
	if syscalls {
		ladder = append(ladder, rung{level: NoSyscalls})
	}
	ladder = append(ladder, rung{level: Windows}, rung{level: Snapshots})
	for i := range ladder {
		ladder[i].reached, ladder[i].hold = -lastHold, firstHold
	}
	return ladder
}

// leave takes that the rung cannot be held any longer.
func (r *rung) leave(now time.Duration) {
	if now-r.reached < lastHold {
		r.hold = min(2*r.hold, lastHold)
	} else {
		r.hold = max(r.hold/2, firstHold)
	}
}
