//go:build linux

package ring

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// fillRings writes n changes of goroutines that go round running, waiting and runnable, in turn on two CPUs.
func fillRings(w writer, n int, stack []uint32) {
	states := [...]uint8{2, 4, 1, 2}
	for i := range n {
		g, step := uint64(i%1000), i/1000%3
		c := written{g: 0xc000000000 + g*512, goid: g + 1, m: 0xc000100000, old: states[step], new: states[step+1]}
		if c.new == 4 {
			c.stack = stack
		}
		w.write(uint32(i/8%2), c)
	}
}

// benchmark reports CPU time, as others may use the CPU that writes the records.
func benchmark(b *testing.B, stack []uint32, through func(*Record)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const n = 63_000 // whole rounds of all goroutines
	_, _, w, r := newBench(b, Geometry{CPUs: 2, Bits: 17})
	visited, spent := 0, int64(0)
	for b.Loop() {
		fillRings(w, n, stack)
		began := cpuTime(b)
		for more := true; more; {
			p := r.Pass(4096, through)
			visited += p.Visited
			more = p.More
		}
		spent += cpuTime(b) - began
	}
	b.ReportMetric(0, "ns/op") // which has the writing in it
	b.ReportMetric(float64(spent)/float64(visited), "ns/record")
	b.ReportMetric(float64(visited)/float64(spent)*1e3, "Mrecords/s")
}

func cpuTime(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

// BenchmarkPass is the price of a record up to its visit.
func BenchmarkPass(b *testing.B) {
	var sum uint64
	count := func(x *Record) { sum += x.GoID }
	b.Run("plain", func(b *testing.B) { benchmark(b, nil, count) })
	b.Run("leaf stacks", func(b *testing.B) { benchmark(b, make([]uint32, 18), count) })
	b.Run("chain", func(b *testing.B) {
		c := NewChain(runtimeStatuses(), 25000)
		benchmark(b, nil, func(x *Record) { c.Add(x, count) })
	})
}

// BenchmarkIdle is the price of a pass that finds nothing.
func BenchmarkIdle(b *testing.B) {
	_, _, _, r := newBench(b, Geometry{CPUs: 64, Bits: 8})
	for b.Loop() {
		r.Pass(1000, func(*Record) {})
	}
}
