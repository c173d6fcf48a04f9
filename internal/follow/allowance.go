package follow

import "time"

// allowance is how many spans of a process may still be made: a token bucket, which a second fills.
type allowance struct {
	rate   float64 // spans a second
	tokens float64
	at     int64 // ns of CLOCK_MONOTONIC, when tokens was right
}

func newAllowance(rate int, now int64) allowance {
	return allowance{rate: float64(rate), tokens: float64(rate), at: now}
}

// spend takes what spans cost. A goroutine is told of as a whole, so that the bucket may be left in debt.
func (a *allowance) spend(spans int) { a.tokens -= float64(spans) }

// left tells whether there is anything left at a time.
func (a *allowance) left(now int64) bool {
	a.tokens = min(a.tokens+a.rate*time.Duration(now-a.at).Seconds(), a.rate)
	a.at = now
	return a.tokens > 0
}
