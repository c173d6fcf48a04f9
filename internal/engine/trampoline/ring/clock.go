//go:build linux

package ring

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// ErrClockJumped is returned when the time-stamp counter and CLOCK_MONOTONIC went apart: a virtual machine was moved, or the machine slept.
// Times since the last Sync are not to be told from counters.
var ErrClockJumped = errors.New("the time-stamp counter jumped")

const (
	// maxDrift is more than the counter and CLOCK_MONOTONIC_RAW ever go apart, which the kernel makes of it. CLOCK_MONOTONIC may: the kernel
	// changes its rate to follow another clock, by up to a tenth (adjtimex(2)).
	maxDrift = 1000e-6
	// tries is how many times a pair is read, to take the one that nothing came between of.
	tries = 20

	lastInterval = time.Second
)

// pair is the time-stamp counter, CLOCK_MONOTONIC and, nearly, CLOCK_MONOTONIC_RAW, in nanoseconds, of one moment.
type pair struct {
	tsc     uint64
	ns, raw int64
}

// Clock converts the time-stamp counter to CLOCK_MONOTONIC, within some ten nanoseconds as long as Sync is called often. Its time never
// jumps: what is wrong at a Sync is put right by a slightly other rate up to the next. It belongs to one goroutine.
type Clock struct {
	read func() (pair, bool)
	now  func() uint64

	last pair
	// raw is how many nanoseconds of CLOCK_MONOTONIC_RAW a tick took.
	raw float64
	// measured is how many nanoseconds a tick took between the last pairs; anew tells that the rates count for nothing, after a jump.
	measured float64
	anew     bool
	// The line in use: it goes through a point, with a rate in nanoseconds a tick.
	tsc      uint64
	ns, rate float64
	// interval is how many ticks to use the line for.
	interval, longest uint64
}

// NewClock takes the first pairs, in some more than firstInterval.
func NewClock() (*Clock, error) {
	c := &Clock{read: readPair, now: TSC}
	if err := c.begin(func() { time.Sleep(firstInterval) }); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Clock) begin(wait func()) error {
	first, ok := c.read()
	wait()
	second, okToo := c.read()
	if !ok || !okToo || second.tsc <= first.tsc || second.ns <= first.ns {
		return fmt.Errorf("the time-stamp counter cannot be compared with the clock: %v, %v", first, second)
	}
	c.last, c.tsc, c.ns = second, second.tsc, float64(second.ns)
	c.measured = float64(second.ns-first.ns) / float64(second.tsc-first.tsc)
	c.rate = c.measured
	c.raw = float64(second.raw-first.raw) / float64(second.tsc-first.tsc)
	c.interval, c.longest = second.tsc-first.tsc, c.Ticks(lastInterval)
	return nil
}

// Sync takes another pair if it is time to; it is cheap if not. After ErrClockJumped it goes on with the new relation.
func (c *Clock) Sync() error {
	if c.now()-c.last.tsc < c.interval {
		return nil
	}
	p, ok := c.read()
	if !ok {
		return nil
	}
	// A line is used for twice as long as it was measured, so that its error does not grow.
	measured := float64(p.ns-c.last.ns) / float64(int64(p.tsc-c.last.tsc))
	raw := float64(p.raw-c.last.raw) / float64(int64(p.tsc-c.last.tsc))
	if drift := math.Abs(raw/c.raw - 1); !c.anew && !(drift <= maxDrift) {
		err := fmt.Errorf("%w: %g instead of %g ns a tick", ErrClockJumped, raw, c.raw)
		c.last, c.tsc, c.ns = p, p.tsc, float64(p.ns)
		c.anew = true
		return err
	}
	here := c.at(p.tsc)
	if c.anew { // the rate may be another for good
		c.anew, here = false, float64(p.ns)
	}
	c.raw = raw
	c.interval = min(2*c.interval, c.longest)
	c.last, c.measured = p, measured
	c.tsc, c.ns, c.rate = p.tsc, here, measured+(float64(p.ns)-here)/float64(c.interval)
	return nil
}

// Nanos returns the CLOCK_MONOTONIC of a counter.
func (c *Clock) Nanos(tsc uint64) int64 { return int64(c.at(tsc)) }

func (c *Clock) at(tsc uint64) float64 { return c.ns + float64(int64(tsc-c.tsc))*c.rate }

// Ticks returns how far the counter goes in a duration.
func (c *Clock) Ticks(d time.Duration) uint64 { return uint64(float64(d) / c.rate) }

// readPair reads the clock between two counters. It fails if something came between each time, such as another program on this CPU.
func readPair() (best pair, ok bool) {
	width := uint64(maxWidth)
	for range tries {
		var t, raw unix.Timespec
		before := TSC()
		err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
		after := TSC()
		rawErr := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &raw)
		end := TSC()
		if err == nil && rawErr == nil && end-before < width {
			width = end - before
			best, ok = pair{before + (after-before)/2, t.Nano(), raw.Nano()}, true
		}
	}
	return best, ok
}
