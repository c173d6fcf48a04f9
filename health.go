package goroutinereceiver

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// observeHealth makes the collector's own telemetry tell what the probes see and lose.
func (s *shared) observeHealth(of source) error {
	observe := func(register func(metric.Int64Callback) error, value func(processes int, n lifecycle.Counts) uint64) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(value(of.Health())))
			return nil
		})
	}
	b := s.health
	return errors.Join(
		observe(b.RegisterReceiverGoroutineTargetsCallback, func(processes int, _ lifecycle.Counts) uint64 { return uint64(processes) }),
		observe(b.RegisterReceiverGoroutineTransitionsCallback, func(_ int, n lifecycle.Counts) uint64 { return n.Transitions }),
		observe(b.RegisterReceiverGoroutineTransitionsRepeatedCallback, func(_ int, n lifecycle.Counts) uint64 { return n.Repeats }),
		observe(b.RegisterReceiverGoroutineTransitionsMissedCallback, func(_ int, n lifecycle.Counts) uint64 { return n.Resynchronized }),
		observe(b.RegisterReceiverGoroutineEventsLostCallback, func(_ int, n lifecycle.Counts) uint64 { return n.EventsLost }),
		observe(b.RegisterReceiverGoroutineUntrackedCallback, func(_ int, n lifecycle.Counts) uint64 { return n.Untracked }),
		observe(b.RegisterReceiverGoroutineTreesWithheldCallback, func(_ int, n lifecycle.Counts) uint64 { return n.TreesWithheld }),
		observe(b.RegisterReceiverGoroutineDurationsLostCallback, func(_ int, n lifecycle.Counts) uint64 { return n.BucketsLost }),
	)
}
