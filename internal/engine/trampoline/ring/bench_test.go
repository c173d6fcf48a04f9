//go:build linux

package ring

import (
	"testing"
)

// fill writes n changes of goroutines that go round running, waiting and runnable, alternating between the CPUs.
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

func benchmark(b *testing.B, stack []uint32, through func(*Record)) {
	const n = 63000 // whole rounds of all goroutines
	_, _, w, r := newBench(b, Geometry{CPUs: 2, Bits: 17})
	b.ReportAllocs()
	visited := 0
	for b.Loop() {
		b.StopTimer()
		fillRings(w, n, stack)
		b.StartTimer()
		for more := true; more; {
			p := r.Pass(4096, through)
			visited += p.Visited
			more = p.More
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(visited), "ns/record")
	b.ReportMetric(float64(visited)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
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
