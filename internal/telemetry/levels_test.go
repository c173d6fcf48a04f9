//go:build linux

package telemetry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
)

// TestEstimates has what was seen and what is estimated in series of their own, of which only the second is marked.
func TestEstimates(t *testing.T) {
	builder := metadata.NewMetricsBuilder(metadata.NewDefaultMetricsBuilderConfig(), receivertest.NewNopSettings(metadata.Type))
	m := NewMetrics(scope, testClock(), MetricsOptions{Builder: builder, Histograms: DefaultHistogramsConfig()})
	seen := lifecycle.Totals{Histograms: map[lifecycle.HistogramKey]*lifecycle.Histogram{
		{Kind: lifecycle.Run}: {Buckets: map[int]uint64{7: 2}, Count: 2, Sum: 9},
	}}
	seen.Counts.Created, seen.Counts.Exited = 10, 4
	seen.Counts.Time[lifecycle.Running] = uint64(time.Second)
	seen.System = map[uint64]uint64{3: uint64(2 * time.Second), 4: uint64(time.Second)}
	estimated := lifecycle.Totals{Histograms: map[lifecycle.HistogramKey]*lifecycle.Histogram{
		{Kind: lifecycle.Run}: {Buckets: map[int]uint64{7: 5}, Count: 5, Sum: 23},
	}}
	estimated.System = map[uint64]uint64{3: uint64(4 * time.Second)}
	estimated.Counts.Created, estimated.Counts.Exited = 25, 10
	estimated.Counts.Time[lifecycle.Running] = uint64(2500 * time.Millisecond)
	covered := Coverage{Elapsed: 10 * time.Second, Attached: 5 * time.Second, Traced: 2 * time.Second}
	made := m.Make([]ProcessStats{{
		Process: testProcess(), Totals: seen, Estimated: &estimated, Engine: "trampoline", Overhead: &Overhead{Level: "windows", Share: 0.25, Coverage: covered},
	}})
	found := map[string]map[bool]float64{} // by whether it is estimated
	note := func(name string, estimated bool, value float64) {
		if found[name] == nil {
			found[name] = map[bool]float64{}
		}
		found[name][estimated] += value
	}
	for _, metric := range made.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		switch metric.Type() {
		case pmetric.MetricTypeSum:
			for _, p := range metric.Sum().DataPoints().All() {
				mark, marked := p.Attributes().Get(attributeEstimated)
				require.Equal(t, marked, marked && mark.Bool())
				note(metric.Name(), marked, float64(p.IntValue())+p.DoubleValue())
			}
		case pmetric.MetricTypeExponentialHistogram:
			for _, p := range metric.ExponentialHistogram().DataPoints().All() {
				_, marked := p.Attributes().Get(attributeEstimated)
				note(metric.Name(), marked, float64(p.Count()))
			}
		case pmetric.MetricTypeGauge:
			for _, p := range metric.Gauge().DataPoints().All() {
				level, _ := p.Attributes().Get(attributeLevel)
				engine, _ := p.Attributes().Get(attributeEngine)
				signal, _ := p.Attributes().Get("go.goroutine.overhead.signal")
				note(metric.Name()+level.Str()+signal.Str()+engine.Str(), false, float64(p.IntValue())+p.DoubleValue())
			}
		}
	}
	for name, want := range map[string]map[bool]float64{
		"go.goroutine.created":                  {false: 10, true: 25},
		"go.goroutine.exited":                   {false: 4, true: 10},
		"go.goroutine.time":                     {false: 1, true: 2.5},
		"go.goroutine.system.time":              {false: 3, true: 4},
		"go.goroutine.run.duration":             {false: 2, true: 5},
		"go.goroutine.overhead.share":           {false: 0.25},
		"go.goroutine.engine.statustrampoline":  {false: 1},
		"go.goroutine.engine.statusuprobe":      {false: 0},
		"go.goroutine.overhead.statuswindows":   {false: 1},
		"go.goroutine.overhead.statusfull":      {false: 0}, // else one that was left would stay 1
		"go.goroutine.overhead.coveragemetrics": {false: 0.5},
		"go.goroutine.overhead.coveragetraces":  {false: 0.2},
	} {
		require.Equal(t, want, found[name], name)
	}
}

func TestLevelChange(t *testing.T) {
	l := NewLogs(scope, testClock())
	l.AddLevelChange(testProcess(), LevelChange{At: 5, From: "full", To: "windows", Engine: "uprobe", Reason: "budget", Share: 0.31, Budget: 0.05, Less: true})
	l.AddLevelChange(testProcess(), LevelChange{At: 6, From: "windows", To: "full", Engine: "uprobe", Reason: "room", Share: 0.01, Budget: 0.05})
	records := l.Take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	require.Equal(t, plog.SeverityNumberWarn, records.At(0).SeverityNumber())
	require.Equal(t, "full -> windows by uprobe: budget; probes took 31.0 % of the CPU time", records.At(0).Body().Str())
	require.Equal(t, map[string]any{
		"go.goroutine.overhead.level.before": "full", "go.goroutine.overhead.level": "windows",
		"go.goroutine.engine": "uprobe", "go.goroutine.overhead.reason": "budget", "go.goroutine.overhead.share": 0.31, "go.goroutine.overhead.budget": 0.05,
	}, records.At(0).Attributes().AsRaw())
}

func TestCoverageIsOfTheTimeSinceBefore(t *testing.T) {
	var c Coverage
	second := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	for _, step := range []struct {
		now              Coverage
		attached, traced float64
	}{
		{Coverage{second(10), second(10), second(5)}, 1, 0.5},
		{Coverage{second(20), second(11), second(5)}, 0.1, 0},
		{Coverage{second(20), second(11), second(5)}, 1, 1},
	} {
		attached, traced := c.since(step.now)
		require.InDelta(t, step.attached, attached, 1e-9)
		require.InDelta(t, step.traced, traced, 1e-9)
	}
}
