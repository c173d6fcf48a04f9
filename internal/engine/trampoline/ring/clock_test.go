//go:build linux

package ring

import (
	"errors"
	"math"
	"testing"
	"time"
)

// fakeClock has a counter of 3 GHz, a clock whose rate and whose error of reading can change, and no time but what it is told.
type fakeClock struct {
	tsc     float64
	ns      float64
	raw     float64
	ppm     float64
	jitter  float64
	refuses bool
	reads   int
}

func (f *fakeClock) pass(d time.Duration) {
	f.tsc += 3 * float64(d)
	f.raw += float64(d)
	f.ns += float64(d) * (1 + f.ppm*1e-6)
}

func (f *fakeClock) read() (pair, bool) {
	f.reads++
	f.jitter = -f.jitter
	return pair{uint64(f.tsc), int64(f.ns + f.jitter), int64(f.raw + f.jitter)}, !f.refuses
}

func (f *fakeClock) clock(t *testing.T) *Clock {
	t.Helper()
	c := &Clock{read: f.read, now: func() uint64 { return uint64(f.tsc) }}
	if err := c.begin(func() { f.pass(firstInterval) }); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestClockFollows has a clock that is read with errors and whose rate is adjusted: times are near, and never go back.
func TestClockFollows(t *testing.T) {
	f := &fakeClock{tsc: 1 << 50, ns: 1e15, jitter: 10}
	c := f.clock(t)
	last, worst := int64(0), 0.0
	for i := range 20_000 {
		f.ppm = float64(i / 4000) // a step each 4 s
		f.pass(time.Millisecond)
		if err := c.Sync(); err != nil {
			t.Fatal(err)
		}
		got := c.Nanos(uint64(f.tsc))
		if got <= last {
			t.Fatalf("time goes from %d to %d", last, got)
		}
		last = got
		if i%4000 > 3000 { // the step is known
			worst = max(worst, math.Abs(float64(got)-f.ns))
		}
	}
	if worst > 60 {
		t.Errorf("off by %.0f ns", worst)
	}
	if f.reads > 2+8+20 {
		t.Errorf("read %d times in 20 s", f.reads)
	}
	if got := c.Ticks(time.Second); got/1e6 != 2999 && got/1e6 != 3000 {
		t.Errorf("a second has %d ticks", got)
	}
}

func TestClockJumps(t *testing.T) {
	tests := map[string]func(*fakeClock){
		"counter forth": func(f *fakeClock) { f.tsc += 3e9 },
		"counter back":  func(f *fakeClock) { f.tsc -= 3e8 },
		"counter anew":  func(f *fakeClock) { f.tsc = 1e6 },
		"a little":      func(f *fakeClock) { f.tsc += 1e7 },
		"sleep":         func(f *fakeClock) { f.tsc += 3 * 60e9 },
	}
	for name, jump := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fakeClock{tsc: 1e13, ns: 1e12}
			c := f.clock(t)
			sync := func() (err error) {
				for range 15 {
					f.pass(lastInterval / 10)
					err = errors.Join(err, c.Sync())
				}
				return err
			}
			for range 10 {
				if err := sync(); err != nil {
					t.Fatal(err)
				}
			}
			jump(f)
			if err := sync(); !errors.Is(err, ErrClockJumped) {
				t.Errorf("jump is %v", err)
			}
			for range 3 {
				if err := sync(); err != nil {
					t.Errorf("after it: %v", err)
				}
			}
			if off := float64(c.Nanos(uint64(f.tsc))) - f.ns; math.Abs(off) > 10 {
				t.Errorf("off by %.0f ns after it", off)
			}
		})
	}
}

// TestClockIsSlewed has the kernel slow the clock down by a twentieth, as it does to follow another: that is no jump.
func TestClockIsSlewed(t *testing.T) {
	f := &fakeClock{tsc: 1e13, ns: 1e12}
	c := f.clock(t)
	for i := range 400 {
		f.ppm = 0
		if i > 100 && i < 200 {
			f.ppm = -50_000
		}
		f.pass(lastInterval / 10)
		if err := c.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if off := float64(c.Nanos(uint64(f.tsc))) - f.ns; math.Abs(off) > 100 {
		t.Errorf("off by %.0f ns after it", off)
	}
}

// TestClockUnread goes on with what it knows while the clock cannot be read.
func TestClockUnread(t *testing.T) {
	f := &fakeClock{tsc: 1e13, ns: 1e12}
	c := f.clock(t)
	f.refuses = true
	f.pass(time.Minute)
	if err := c.Sync(); err != nil {
		t.Error(err)
	}
	if off := float64(c.Nanos(uint64(f.tsc))) - f.ns; math.Abs(off) > 10 {
		t.Errorf("off by %.0f ns", off)
	}
	if err := (&Clock{read: f.read}).begin(func() {}); err == nil {
		t.Error("began with a clock that cannot be read")
	}
}

// TestClockIsMonotonic compares with the clock itself.
func TestClockIsMonotonic(t *testing.T) {
	if err := Usable(true); err != nil {
		t.Skipf("not on this machine: %v", err)
	}
	c, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		time.Sleep(10 * time.Millisecond)
		if err := c.Sync(); err != nil {
			t.Fatal(err)
		}
		p, ok := readPair()
		if !ok {
			continue
		}
		// The bound is a thousand times the usual error, since other programs share the CPUs.
		if off := c.Nanos(p.tsc) - p.ns; off < -20_000 || off > 20_000 {
			t.Errorf("off by %d ns", off)
		}
	}
}
