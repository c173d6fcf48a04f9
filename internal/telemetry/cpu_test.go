//go:build linux

package telemetry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/semconv/v1.40.0/processconv"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
)

// cpuSums returns the sums that are made of a process's processor time, by name, mode and unit.
func cpuSums(t *testing.T, u *cpuusage.Usage) map[string]float64 {
	t.Helper()
	builder := metadata.NewMetricsBuilder(metadata.NewDefaultMetricsBuilderConfig(), receivertest.NewNopSettings(metadata.Type))
	m := NewMetrics(scope, testClock(), MetricsOptions{Builder: builder})
	made := m.Make([]ProcessStats{{Process: testProcess(), Start: 1000, Time: 2000, CPU: u, CountsOnly: true}})
	sums := map[string]float64{}
	for _, metric := range made.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if metric.Name() == "go.goroutine.count" {
			continue
		}
		require.True(t, metric.Sum().IsMonotonic(), metric.Name())
		for _, p := range metric.Sum().DataPoints().All() {
			require.Equal(t, pcommon.Timestamp(wall+1000), p.StartTimestamp())
			mode, _ := p.Attributes().Get("cpu.mode")
			sums[metric.Name()+" "+mode.Str()+" "+metric.Unit()] += p.DoubleValue() + float64(p.IntValue())
		}
	}
	return sums
}

// TestProcessorTime tells what is known only.
func TestProcessorTime(t *testing.T) {
	require.Empty(t, cpuSums(t, nil))
	u := cpuusage.Usage{User: 1500 * time.Millisecond, System: 250 * time.Millisecond, RunQueue: 9 * time.Second}
	time := processconv.CPUTime{}
	used := map[string]float64{time.Name() + " user " + time.Unit(): 1.5, time.Name() + " system " + time.Unit(): 0.25}
	require.Equal(t, used, cpuSums(t, &u))
	u.RunQueueKnown, u.Throttling = true, &cpuusage.Throttling{Periods: 10, Throttled: 7, Time: 2e9}
	used["process.cpu.runqueue.time  s"] = 9
	used["process.cgroup.cpu.periods  {period}"] = 10
	used["process.cgroup.cpu.throttled.periods  {period}"] = 7
	used["process.cgroup.cpu.throttled.time  s"] = 2
	require.Equal(t, used, cpuSums(t, &u))
}
