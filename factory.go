package goroutinereceiver

import (
	"go.opentelemetry.io/collector/receiver"

	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
)

// NewFactory returns the factory of the receiver for traces, metrics and logs. Pipelines that name the same receiver share one set
// of probes. On other systems than Linux, no receiver can be created.
func NewFactory() receiver.Factory {
	f := newFactory()
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithTraces(f.traces, metadata.TracesStability),
		receiver.WithMetrics(f.metrics, metadata.MetricsStability),
		receiver.WithLogs(f.logs, metadata.LogsStability))
}
