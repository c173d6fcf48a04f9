//go:build linux

package trampoline

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// BenchmarkRecords brings records of many goroutines to figures, and to events that are read as soon as they have come.
func BenchmarkRecords(b *testing.B) {
	for name, s := range map[string]engine.Settings{"figures": {}, "events": all} {
		b.Run(name, func(b *testing.B) {
			const goroutines, round = 1000, 1 << 12
			m := newTested(nil, s)
			chain := ring.NewChain(m.equalStatuses(), 1e5)
			take := func(r *ring.Record) { m.machine.take(r, int64(r.TSC)) }
			records := make([]ring.Record, 0, round)
			m.queue.begin()
			for i := range uint64(goroutines) {
				r := created(0xc000000000+480*i, i, 0, mainStart)
				take(&r)
			}
			m.queue.end()
			stack := []uint64{1, 2, 3, 4, 5, 6}
			for i := range uint64(round) {
				g := i / 4 % goroutines
				r := changed(0xc000000000+480*g, g, [4]uint8{runnable, running, waiting, runnable}[i%4], [4]uint8{running, waiting, runnable, runnable}[i%4])
				if i%4 == 1 {
					r.Stack = stack
				}
				if i%4 != 3 {
					records = append(records, r)
				}
			}
			tsc := uint64(1e6)
			var e lifecycle.Event
			b.ResetTimer()
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(records) {
				m.queue.begin()
				for i := range records {
					tsc += 300
					records[i].TSC = tsc
					chain.Add(&records[i], take)
				}
				m.queue.end()
				for m.queue.poll(&e) {
				}
			}
		})
	}
}
