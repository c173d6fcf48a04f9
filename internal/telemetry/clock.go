package telemetry

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sys/unix"
)

const monotonic = unix.CLOCK_MONOTONIC

// Clock translates CLOCK_MONOTONIC, which no adjustment touches, to the wall clock as it is now. What belongs together is
// translated by one Clock, so that its durations stay exact when the wall clock is set.
type Clock struct {
	offset int64
}

// NewClock reads both clocks.
func NewClock() Clock {
	// The reading of the wall clock lies between two of the other; the closest of a few tries is right to less than a microsecond.
	best := Clock{}
	shortest := int64(-1)
	for range 3 {
		before := read(monotonic)
		wall := read(unix.CLOCK_REALTIME)
		after := read(monotonic)
		if d := after - before; shortest < 0 || d < shortest {
			shortest, best.offset = d, wall-(before+d/2)
		}
	}
	return best
}

func read(clock int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic(err) // the kernel always has these clocks
	}
	return ts.Nano()
}

// Timestamp translates ns of CLOCK_MONOTONIC.
func (c Clock) Timestamp(ns int64) pcommon.Timestamp {
	return pcommon.NewTimestampFromTime(time.Unix(0, ns+c.offset))
}
