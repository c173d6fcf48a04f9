//go:build linux

package goroutinereceiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/scraper/scrapererror"

	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
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
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the pipeline of metrics does not answer: %w", err)
	}
	return errors.Join(err, r.shared.Shutdown(ctx))
}

// collections hands the metrics of each collection to the pipeline.
type collections struct {
	consumer.Metrics
	ctx    context.Context // ends all calls of the pipeline
	shared *shared
}

// ConsumeMetrics implements consumer.Metrics.
func (c collections) ConsumeMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	err := c.Metrics.ConsumeMetrics(ctx, metrics)
	if err == nil {
		c.shared.taken()
	}
	return err
}

// scrape makes the metrics of all processes, and log records of what has begun or ended to be blocked. What is wrong with one process does not
// cost another its metrics: the error is a partial one.
func (s *shared) scrape(ctx context.Context) (pmetric.Metrics, error) {
	s.mu.Lock()
	source := s.source
	s.mu.Unlock()
	if source == nil {
		return pmetric.NewMetrics(), nil
	}
	figures, err := source.Collect(ctx)
	s.tellBlocked(figures)
	s.offered = append(lastOf(s.offered), figures...)
	return s.metrics.Make(s.offered), partial(err)
}

// maxLast bounds how many processes that have ended wait for a pipeline that takes metrics.
const maxLast = 4096

// lastOf returns those figures that will not come again.
func lastOf(figures []telemetry.ProcessStats) (last []telemetry.ProcessStats) {
	for _, f := range figures {
		switch {
		case f.Last && len(last) < maxLast:
			last = append(last, f)
		case f.Taken != nil:
			f.Taken()
		}
	}
	return last
}

// taken lets go of what was offered to the pipeline, which has it now.
func (s *shared) taken() {
	s.metrics.Taken(s.offered)
	for _, f := range s.offered {
		if f.Taken != nil {
			f.Taken()
		}
	}
	s.offered = nil
}

// partial returns an error with which the scraper controller hands on the metrics that there are nevertheless.
func partial(err error) error {
	if err == nil {
		return nil
	}
	failed := 1
	if several, is := err.(interface{ Unwrap() []error }); is {
		failed = len(several.Unwrap())
	}
	return scrapererror.NewPartialScrapeError(err, failed)
}

// tellBlocked hands on what has begun or ended to be blocked.
func (s *shared) tellBlocked(figures []telemetry.ProcessStats) {
	if s.nextLogs == nil {
		return
	}
	for _, f := range figures {
		s.blocked.AddChanges(f.Process, f.Changes, f.Creators, f.Time)
	}
	if s.blocked.Len() > 0 {
		s.outlet.Logs(s.blocked.Take())
	}
}
