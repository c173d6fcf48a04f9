//go:build linux && amd64

package trampoline

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// writeRecord writes a change as a trampoline does, as the next one of a CPU's ring.
func writeRecord(m *ring.Memory, cpu uint64, g, goid uint64, from, to uint64) {
	geometry := m.Geometry()
	header := ring.OffHeaders + cpu*ring.HeaderSize + ring.OffHead
	index := m.Word(header)
	slot := geometry.Slots() + (cpu<<geometry.Bits|index&(1<<geometry.Bits-1))*ring.SlotSize
	m.SetWord(header, index+1)
	m.SetWord(slot, ring.TSC())
	m.SetWord(slot+8, g|from<<ring.ShiftOld|to<<ring.ShiftNew)
	m.SetWord(slot+16, goid|chanReceive<<ring.ShiftReason)
	m.SetWord(slot+24, (cpu+1)<<(ring.ShiftM+4)|ring.Committed|index>>geometry.Bits&ring.LapMask)
}

// BenchmarkSource brings records from the rings of two CPUs, which are merged and ordered, to exact figures.
func BenchmarkSource(b *testing.B) {
	const goroutines, round = 1000, 1 << 14
	memory, err := ring.Open(ring.Geometry{CPUs: 2, Bits: 16})
	require.NoError(b, err)
	defer memory.Close()
	clock, err := newClock()
	require.NoError(b, err)
	m := &newTested(nil, engine.Settings{}).machine
	s := &source{memory: memory, reader: ring.NewReader(memory), chain: ring.NewChain(m.equalStatuses(), clock.ticks(inversion)), clock: clock, machine: m}
	m.recorded = &recorded{}
	s.take = func(r *ring.Record) { m.take(r, s.line.Nanos(r.TSC)) }
	s.add = func(r *ring.Record) { s.chain.Add(r, s.take) }
	steps := [][2]uint64{{waiting, runnable}, {runnable, running}, {running, waiting}}
	visited, spent := 0, time.Duration(0)
	runtime.LockOSThread() // whose processor time is counted, for a machine that has other work to do
	defer runtime.UnlockOSThread()
	b.ResetTimer()
	b.ReportAllocs()
	for i := 0; i < b.N; {
		b.StopTimer()
		for range round {
			g := uint64(i / len(steps) % goroutines)
			step := steps[i%len(steps)]
			writeRecord(memory, g&1, 0xc000000000+480*g, g+1, step[0], step[1])
			i++
		}
		b.StartTimer()
		before := threadTime()
		n, _ := s.pass(recordsAtOnce)
		visited, spent = visited+n, spent+threadTime()-before
	}
	b.StopTimer()
	b.ReportMetric(float64(visited)/spent.Seconds()/1e6, "Mrecords/cpu-s")
	require.Zero(b, m.figures.counts.Resynchronized)
	require.EqualValues(b, visited, m.figures.counts.Transitions)
}
