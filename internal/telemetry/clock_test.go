//go:build linux

package telemetry

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sys/unix"
)

// TestClock checks that readings do not jitter with the time that reading takes, and follow an adjustment.
func TestClock(t *testing.T) {
	monotonic, offset, delay := int64(1_000_000_000), int64(1_700_000_000e9), int64(40)
	c := newClock(func(clock int32) int64 {
		monotonic += delay
		if clock == unix.CLOCK_REALTIME {
			return monotonic + offset
		}
		return monotonic
	})
	first := c.Reading()
	if got := first.Timestamp(500); got != pcommon.Timestamp(1_700_000_000e9+500) {
		t.Errorf("500 ns are %d", got)
	}
	delay = 3001 // the thread lost its processor between two readings
	if got := c.Reading(); got != first {
		t.Errorf("the reading moved by %d ns though no clock was set", got.offset-first.offset)
	}
	offset += int64(time.Hour)
	if moved := c.Reading().offset - first.offset; moved < int64(time.Hour-time.Microsecond*10) || moved > int64(time.Hour+time.Microsecond*10) {
		t.Errorf("the clock was set by an hour, the reading by %s", time.Duration(moved))
	}
	if got := first.Timestamp(2000) - first.Timestamp(1000); got != 1000 {
		t.Errorf("1000 ns became %d in an old reading", got)
	}
	offset -= 2 * int64(time.Hour)
	if moved := c.Reading().offset - first.offset; moved > -int64(time.Hour-time.Microsecond*10) {
		t.Errorf("the clock was set back by two hours, the reading moved by %s", time.Duration(moved))
	}
}
