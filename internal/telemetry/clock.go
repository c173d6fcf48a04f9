//go:build linux

package telemetry

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sys/unix"
)

// Clock knows how far the wall clock is from CLOCK_MONOTONIC, which no adjustment touches.
type Clock struct {
	// read returns a clock's time in ns; clocks are named as in clock_gettime(2).
	read func(clock int32) int64

	mu     sync.Mutex
	offset int64
}

// NewClock reads the system's clocks.
func NewClock() *Clock { return newClock(readSystem) }

func newClock(read func(int32) int64) *Clock {
	c := &Clock{read: read}
	c.offset, _ = c.measure()
	return c
}

// stepped is the least difference, in ns, that counts as an adjustment of the wall clock. The kernel speeds up and slows down both
// clocks alike, so between adjustments the distance stays; what is measured differs a little each time nevertheless, and moments that
// are told twice (the end of a segment and the start of the next, the start of a metric) must be told alike.
const stepped = int64(time.Millisecond)

// Reading returns how to translate times now. What belongs together is translated by one Reading, so that durations stay exact when
// the wall clock is set.
func (c *Clock) Reading() Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	offset, uncertainty := c.measure()
	if d := offset - c.offset; d > stepped+uncertainty || -d > stepped+uncertainty {
		c.offset = offset
	}
	return Reading{offset: c.offset}
}

// now is the time of CLOCK_MONOTONIC.
func (c *Clock) now() int64 { return c.read(unix.CLOCK_MONOTONIC) }

// measure returns the distance of the clocks, which is right to within uncertainty.
func (c *Clock) measure() (offset, uncertainty int64) {
	// The reading of the wall clock lies between two of the other; the closest of a few tries counts.
	for try := range 3 {
		before := c.now()
		wall := c.read(unix.CLOCK_REALTIME)
		half := (c.now() - before) / 2
		if try == 0 || half < uncertainty {
			offset, uncertainty = wall-(before+half), half
		}
	}
	return offset, uncertainty
}

func readSystem(clock int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic(err) // the kernel always has these clocks
	}
	return ts.Nano()
}

// Reading translates CLOCK_MONOTONIC to the wall clock as it was at one moment.
type Reading struct {
	offset int64
}

// Timestamp translates ns of CLOCK_MONOTONIC.
func (r Reading) Timestamp(ns int64) pcommon.Timestamp {
	return pcommon.NewTimestampFromTime(time.Unix(0, ns+r.offset))
}
