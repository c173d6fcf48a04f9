//go:build linux

package telemetry

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/recording"
)

// pooling is the collector's feature gate that lets pdata use the memory of what the pipeline has done with again.
const pooling = "pdata.useProtoPooling"

// BenchmarkEvents brings a recorded run's events to their goroutines and makes spans of them, which nobody takes, again and again.
func BenchmarkEvents(b *testing.B) {
	for _, c := range []struct {
		name   string
		states States
		pooled bool
	}{
		{"spans", StateSpans, false},
		{"spans, pooled", StateSpans, true},
		{"none", StateNone, false},
		{"none, pooled", StateNone, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			require.NoError(b, featuregate.GlobalRegistry().Set(pooling, c.pooled))
			defer func() { require.NoError(b, featuregate.GlobalRegistry().Set(pooling, false)) }()
			r, err := recording.Load(filepath.Join("testdata", "request.json"))
			require.NoError(b, err)
			p := NewProcess(Identity{BootID: "boot", PID: r.PID, StartTime: 1}, pcommon.NewResource(), Program{Symbols: r.Symbols, WaitReasons: r.WaitReasons}, 0)
			limits := lifecycle.Limits{Intervals: 1000, Segment: 1 << 62, Outlives: time.Second}
			if c.states == StateNone {
				limits.Intervals = 0
			}
			tracker := lifecycle.NewTracker(limits, goexe.NewPlaces(r.Symbols, r.WaitReasons, goexe.Traits{}, 0), lifecycle.NewHomes())
			spans := NewSpans(scope, testClock(), SpanOptions{States: c.states})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				for i := range r.Events {
					e := &r.Events[i]
					ended := tracker.Handle(e)
					if g := tracker.Get(e.G); g != nil {
						p.Observe(g, e)
					}
					for _, g := range ended {
						spans.Add(p, g)
						tracker.Recycle(g)
					}
				}
				if spans.Len() > 4096 {
					discard(spans)
				}
			}
			runtime.ReadMemStats(&after)
			events := float64(b.N * len(r.Events))
			b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/events, "allocs/event")
		})
	}
}

// discard does what the collector does at the entry of a pipeline, which leads nowhere.
func discard(spans *Spans) {
	traces := spans.Take()
	if pref.MarkPipelineOwnedTraces(traces) {
		pref.UnrefTraces(traces)
	}
}
