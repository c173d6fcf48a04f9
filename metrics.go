package goroutinereceiver

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
)

// metricsReceiver ends in time, which the scraper controller alone does not: that waits for the pipeline however long it takes.
type metricsReceiver struct {
	receiver.Metrics // the controller
	cancel           context.CancelFunc
	shared           *shared
}

// lastCollection is how long the pipeline may take for a collection that it is at when the receiver is shut down.
const lastCollection = time.Second

// Shutdown ends the collections, and then the receiver as a whole.
func (r *metricsReceiver) Shutdown(ctx context.Context) error {
	defer r.cancel()
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()
	hasty := time.AfterFunc(lastCollection, r.cancel)
	defer hasty.Stop()
	collecting, stop := context.WithTimeout(ctx, 2*lastCollection)
	defer stop()
	err := within(collecting, func() error { return r.Metrics.Shutdown(ctx) })
	return errors.Join(err, r.shared.Shutdown(ctx))
}

// cancelled is a consumer whose calls end with a context of its own, too.
type cancelled struct {
	consumer.Metrics
	ctx context.Context
}

// ConsumeMetrics implements consumer.Metrics.
func (c cancelled) ConsumeMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	return c.Metrics.ConsumeMetrics(ctx, metrics)
}
