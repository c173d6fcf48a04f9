package overhead

import "math"

const (
	// reserve is for how long what is allowed can be saved up, in seconds; bonus is how much of that there is at the start of a level, so
	// that one bad moment does not end it.
	reserve, bonus = 5, 0.5
	// rateMemory is how far back the rate of what is allowed looks, in seconds.
	rateMemory = 1
)

// bucket is a token bucket of processor time: what the probes may cost flows in, what they cost flows out. All is in seconds.
type bucket struct {
	credit float64 // what they may still cost; below 0 is debt
	rate   float64 // of what flows in, of late, in a second
	// cost and allowed are sums over the time with probes since the last reset.
	cost, allowed float64
	excess        float64 // how many times what was allowed they cost in the last observation
	known         bool
}

// add takes what the probes cost in a time, and what they were allowed to. watched says that in all of it, there were probes.
func (b *bucket) add(cost, allowed, elapsed float64, watched bool) {
	now := allowed / elapsed
	if !b.known {
		b.rate, b.credit, b.known = now, bonus*now, true
	}
	b.rate += (now - b.rate) * (1 - math.Exp(-elapsed/rateMemory))
	b.credit = min(b.credit+allowed-cost, max(reserve*b.rate, b.credit))
	b.excess = 0
	if cost > allowed {
		b.excess = cost / allowed
	}
	if watched {
		b.cost += cost
		b.allowed += allowed
	}
}

// reset begins a new sum.
func (b *bucket) reset() { b.cost, b.allowed = 0, 0 }

// forgive leaves a debt of no more than what is allowed in some seconds, which are negative for credit.
func (b *bucket) forgive(seconds float64) { b.credit = max(b.credit, -seconds*b.rate) }

// timeToPay returns how many seconds it takes until the debt is paid, if as much goes on to be allowed.
func (b *bucket) timeToPay() float64 {
	if b.credit >= 0 {
		return 0
	}
	return -b.credit / b.rate
}

// isComfortable tells whether the probes cost clearly less than they may.
func (b *bucket) isComfortable() bool { return b.cost <= comfort*b.allowed }
