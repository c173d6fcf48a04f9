//go:build linux

package session

import "time"

// spanBucket is how many spans and log records of a process may still be made: a token bucket, which a second fills.
type spanBucket struct {
	rate   float64 // spans a second; 0 sets no limit
	tokens float64
	at     int64 // ns of CLOCK_MONOTONIC, when tokens was right

	spent bool // no new tree is sampled
	told  bool // the log has told that it was spent
}

func newSpanBucket(rate int, now int64) spanBucket {
	return spanBucket{rate: float64(rate), tokens: float64(rate), at: now}
}

// spend takes what spans cost. A goroutine is told of as a whole, so that the bucket may be left in debt.
func (b *spanBucket) spend(spans int) { b.tokens -= float64(spans) }

// left returns how many spans there is something left for at a time.
func (b *spanBucket) left(now int64) int {
	b.tokens = min(b.tokens+b.rate*time.Duration(now-b.at).Seconds(), b.rate)
	b.at = now
	return int(max(b.tokens, 0))
}

// forSegments returns for how many goroutines that live on segments may be told: each takes a span and at
// least one of a state, and all together a half of what there is, so that new trees have some too.
func (b *spanBucket) forSegments(now int64) int {
	if b.rate == 0 {
		return segmentsAtOnce
	}
	return min(b.left(now)/4, segmentsAtOnce)
}

// segmentsAtOnce bounds how many goroutines' segments are told of at a time: those that began together come one after the other.
const segmentsAtOnce = 2000
