//go:build linux

package telemetry

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/recording"
)

var update = flag.Bool("update", false, "write what comes out to the golden files")

// played is what a recording's goroutines have become.
type played struct {
	*recording.Recording
	process *Process
	ended   []*lifecycle.Goroutine
	logs    *Logs
}

// shortestByDefault is traces::min_state_duration.
const shortestByDefault = 100 * time.Microsecond

// play brings a recorded run's events to their goroutines, as package follow does.
func play(t *testing.T, join bool, shortest time.Duration) played {
	t.Helper()
	r, err := recording.Load(filepath.Join("testdata", "request.json"))
	require.NoError(t, err)
	resource := pcommon.NewResource()
	resource.Attributes().PutStr("service.name", "instrumented")
	p := played{
		Recording: r,
		process: NewProcess(
			Identity{BootID: "boot", PID: r.PID, StartTime: 1}, resource,
			Program{Symbols: r.Symbols, WaitReasons: r.WaitReasons, FullStacks: join}, 0,
		),
		logs: NewLogs(scope, testClock()),
	}
	tracker := lifecycle.NewTracker(lifecycle.Limits{Intervals: 100, ShortestInterval: shortest, Segment: 1 << 62, Outlives: time.Second, Join: join, Hide: shortest > 0},
		goexe.NewPlaces(r.Symbols, r.WaitReasons, goexe.Traits{}, 0), lifecycle.NewHomes())
	for i := range r.Events {
		e := &r.Events[i]
		ended := tracker.Handle(e)
		g := tracker.Get(e.G)
		p.ended = append(p.ended, ended...)
		if n := len(ended); e.Kind == lifecycle.Exited && n > 0 {
			g = ended[n-1]
		}
		if g != nil && e.Kind != lifecycle.Labelled {
			p.logs.Add(p.process, g, e)
			p.process.Observe(g, e)
		}
	}
	p.ended = append(p.ended, tracker.Interrupt(r.End, lifecycle.Unfollowed)...)
	for _, g := range p.ended {
		p.logs.End(p.process, g)
	}
	return p
}

func TestGoldenTraces(t *testing.T) {
	for name, test := range map[string]struct {
		states States
		noise  Noise
		join   bool
	}{
		"spans":  {StateSpans, NoiseFold, false},
		"kept":   {StateSpans, NoiseKeep, false},
		"events": {StateEvents, NoiseFold, false},
		"joined": {StateSpans, NoiseFold, true},
	} {
		t.Run(name, func(t *testing.T) {
			shortest := shortestByDefault
			if test.noise == NoiseKeep {
				shortest = 0
			}
			p := play(t, test.join, shortest)
			spans := NewSpans(scope, testClock(), SpanOptions{States: test.states, Noise: test.noise})
			for _, g := range p.ended {
				spans.Add(p.process, g)
			}
			got := spans.Take()
			file := filepath.Join("testdata", "golden", name+".yaml")
			if *update {
				require.NoError(t, golden.WriteTracesToFile(file, got))
			}
			want, err := golden.ReadTraces(file)
			require.NoError(t, err)
			require.NoError(t, ptracetest.CompareTraces(want, got))
		})
	}
}

func TestGoldenLogs(t *testing.T) {
	got := play(t, false, 0).logs.Take()
	file := filepath.Join("testdata", "golden", "logs.yaml")
	if *update {
		require.NoError(t, golden.WriteLogsToFile(file, got))
	}
	want, err := golden.ReadLogs(file)
	require.NoError(t, err)
	require.NoError(t, plogtest.CompareLogs(want, got))
}

func TestGoldenMetrics(t *testing.T) {
	p := play(t, false, 0)
	f := ProcessStats{
		Process: p.process, Start: p.Start, Time: p.End,
		Totals: lifecycle.Totals{Counts: p.Counts, Functions: p.Functions, Histograms: map[lifecycle.HistogramKey]*lifecycle.Histogram{}},
	}
	for _, h := range p.Histograms {
		f.Histograms[h.HistogramKey] = &h.Histogram
	}
	config := metadata.NewDefaultMetricsBuilderConfig()
	config.Metrics.GoGoroutineCreated.EnabledAttributes = []metadata.GoGoroutineCreatedMetricAttributeKey{
		metadata.GoGoroutineCreatedMetricAttributeKeyCodeFunctionName,
	}
	builder := metadata.NewMetricsBuilder(config, receivertest.NewNopSettings(metadata.Type))
	got := NewMetrics(scope, testClock(), MetricsOptions{
		Builder: builder, Histograms: DefaultHistogramsConfig(), Functions: Functions{Created: true, Top: 3}, TopBlocked: 20,
	}).Make([]ProcessStats{f})
	file := filepath.Join("testdata", "golden", "metrics.yaml")
	if *update {
		require.NoError(t, golden.WriteMetricsToFile(file, got, golden.SkipMetricTimestampNormalization()))
	}
	want, err := golden.ReadMetrics(file)
	require.NoError(t, err)
	require.NoError(t, pmetrictest.CompareMetrics(want, got, pmetrictest.IgnoreMetricDataPointsOrder(), pmetrictest.IgnoreMetricsOrder()))
}
