package telemetry

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/recording"
)

// BenchmarkEvents brings a recorded run's events to their goroutines and makes spans of them, which nobody takes, again and again.
func BenchmarkEvents(b *testing.B) {
	for _, states := range []States{StateSpans, StateNone} {
		b.Run(string(states), func(b *testing.B) {
			r, err := recording.Load(filepath.Join("testdata", "request.json"))
			require.NoError(b, err)
			p := NewProcess(Identity{BootID: "boot", PID: r.PID, StartTime: 1}, pcommon.NewResource(), Program{Symbols: r.Symbols, WaitReasons: r.WaitReasons}, 0)
			limits := lifecycle.Limits{Slices: 1000, Segment: 1 << 62}
			if states == StateNone {
				limits.Slices = 0
			}
			tracker := lifecycle.NewTracker(limits)
			spans := NewSpans(scope, testClock(), states)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				for i := range r.Events {
					e := &r.Events[i]
					ended := tracker.Handle(e)
					if g := tracker.Get(e.G); g != nil {
						p.Observe(g, e)
					}
					if ended != nil {
						spans.Add(p, ended)
					}
				}
				if spans.Len() > 4096 {
					spans.Take()
				}
			}
			runtime.ReadMemStats(&after)
			events := float64(b.N * len(r.Events))
			b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/events, "allocs/event")
		})
	}
}
