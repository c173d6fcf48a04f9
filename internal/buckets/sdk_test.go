package buckets

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// sdk is an exponential histogram of OpenTelemetry's SDK for Go, which forgets at each reading.
type sdk struct {
	t      *testing.T
	reader *metric.ManualReader
	record func(seconds float64)
}

func newSDK(t *testing.T) sdk {
	t.Helper()
	reader := metric.NewManualReader(
		metric.WithTemporalitySelector(func(metric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }),
		metric.WithAggregationSelector(func(metric.InstrumentKind) metric.Aggregation {
			return metric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: Scale}
		}),
	)
	h, err := metric.NewMeterProvider(metric.WithReader(reader)).Meter("test").Float64Histogram("duration")
	if err != nil {
		t.Fatal(err)
	}
	return sdk{t, reader, func(seconds float64) { h.Record(context.Background(), seconds) }}
}

// bucket returns the index of the bucket that the SDK has for a duration.
func (s sdk) bucket(ns uint64) int {
	s.t.Helper()
	s.record(float64(ns) / 1e9)
	var read metricdata.ResourceMetrics
	if err := s.reader.Collect(context.Background(), &read); err != nil {
		s.t.Fatal(err)
	}
	p := read.ScopeMetrics[0].Metrics[0].Data.(metricdata.ExponentialHistogram[float64]).DataPoints[0]
	if p.Scale != Scale || p.Count != 1 || len(p.PositiveBucket.Counts) != 1 {
		s.t.Fatalf("the SDK has %d durations in %v at scale %d", p.Count, p.PositiveBucket, p.Scale)
	}
	return int(p.PositiveBucket.Offset)
}

// Each bucket's longest duration, and the next one, up to the 26 days from which on the SDK's
// logarithm does not tell them apart.
func TestBoundsAreTheSDKs(t *testing.T) {
	s := newSDK(t)
	bounds := Bounds()
	checked := 0
	for b := range bounds {
		if bounds[b] > 1<<51 {
			break
		}
		for _, ns := range []uint64{bounds[b], bounds[b] + 1} {
			checked++
			if want, got := s.bucket(ns), Of(ns)+First; got != want {
				t.Errorf("%d ns are in bucket %d, the SDK says %d", ns, got, want)
			}
		}
	}
	if checked < 800 {
		t.Errorf("only %d durations were checked", checked)
	}
}
