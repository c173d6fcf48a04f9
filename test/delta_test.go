//go:build linux

package test

import (
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestDelta makes the metrics' changes, as backends that want delta temporality take them, sum up to the metrics.
func TestDelta(t *testing.T) {
	testbuild.RequireRoot(t)
	cumulative, delta := e2etest.NewBackend(t), e2etest.NewBackend(t)
	exe := testbuild.Program(t, "lifecycle", testbuild.Options{})
	receiver := e2etest.Following(exe)
	receiver.CollectionInterval = 50 * time.Millisecond
	config := e2etest.NewConfig(receiver)
	config.Export("otlp_grpc/cumulative", e2etest.OTLP(cumulative.Endpoint()), "metrics/cumulative")
	config.Export("otlp_grpc/delta", e2etest.OTLP(delta.Endpoint()), "metrics/delta")
	config.Process("cumulative_to_delta", e2etest.Settings{"initial_value": "keep"}, "metrics/delta")
	c := e2etest.StartCollector(t, config)
	p := testbuild.Start(t, exe, filepath.Join(t.TempDir(), "trace"))
	e2etest.AwaitCount(t, cumulative, c, p)
	p.GoOn()
	e2etest.AwaitCount(t, cumulative, c, p)
	p.GoOn()
	p.Wait()
	c.Stop()

	for _, name := range []string{"go.schedule.duration", "go.goroutine.run.duration", "go.goroutine.wait.duration", "go.goroutine.lifetime"} {
		want := map[int]uint64{}
		for _, m := range cumulative.Metric(name) {
			addBuckets(want, m)
		}
		got := map[int]uint64{}
		exports := delta.Exports(name)
		for _, m := range exports {
			if m.ExponentialHistogram().AggregationTemporality() != pmetric.AggregationTemporalityDelta {
				t.Fatalf("%s is %s", name, m.ExponentialHistogram().AggregationTemporality())
			}
			addBuckets(got, m)
		}
		if len(exports) < 2 || len(want) < 10 {
			t.Errorf("%s was exported %d times with %d buckets", name, len(exports), len(want))
		}
		for bucket, n := range want {
			if got[bucket] != n {
				t.Errorf("%s: bucket %d sums up to %d, want %d", name, bucket, got[bucket], n)
			}
		}
	}
	var created int
	for _, m := range delta.Exports("go.goroutine.created") {
		for _, point := range m.Sum().DataPoints().All() {
			created += int(point.IntValue())
		}
	}
	if want := cumulative.Sum("go.goroutine.created"); created != want || want < 100 {
		t.Errorf("%d goroutines were created, want %d", created, want)
	}
}

// addBuckets adds the counts of a histogram's buckets, by their indexes, over all its data points.
func addBuckets(to map[int]uint64, m pmetric.Metric) {
	for _, p := range m.ExponentialHistogram().DataPoints().All() {
		for i, n := range p.Positive().BucketCounts().All() {
			if n > 0 {
				to[int(p.Positive().Offset())+i] += n
			}
		}
	}
}
