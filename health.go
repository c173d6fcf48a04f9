//go:build linux

package goroutinereceiver

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"go.opentelemetry.io/otel/metric"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/survey"
)

// reasonOf returns the class of an error for which a process cannot be followed.
func reasonOf(err error) metadata.AttributeReason {
	if refused := (*engine.Refusal)(nil); errors.As(err, &refused) {
		return metadata.AttributeReasonRefused
	}
	for _, class := range []struct {
		of     error
		reason metadata.AttributeReason
	}{
		{engine.ErrPermission, metadata.AttributeReasonPermission},
		{survey.ErrPermission, metadata.AttributeReasonPermission},
		{fs.ErrPermission, metadata.AttributeReasonPermission}, // EACCES and EPERM too
		{engine.ErrKernel, metadata.AttributeReasonKernel},
		{goexe.ErrNotGo, metadata.AttributeReasonNotGo},
		{goexe.ErrUnsupported, metadata.AttributeReasonLayout},
		{engine.ErrTooMany, metadata.AttributeReasonResources},
		{syscall.ENOMEM, metadata.AttributeReasonResources},
		{syscall.EMFILE, metadata.AttributeReasonResources},
		{syscall.ENFILE, metadata.AttributeReasonResources},
		{syscall.ENOSPC, metadata.AttributeReasonResources},
		{processes.ErrNoProcess, metadata.AttributeReasonGone},
		{syscall.ESRCH, metadata.AttributeReasonGone},
	} {
		if errors.Is(err, class.of) {
			return class.reason
		}
	}
	return metadata.AttributeReasonOther
}

// refusalOf returns why a process does not permit trampolines.
func refusalOf(err error) metadata.AttributeTrampolineReason {
	var refused *engine.Refusal
	if errors.As(err, &refused) {
		if reason, known := metadata.MapAttributeTrampolineReason[string(refused.Reason)]; known {
			return reason
		}
	}
	return metadata.AttributeTrampolineReasonOther
}

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
		observe(b.RegisterReceiverGoroutineLabelsMissedCallback, func(_ int, n lifecycle.Counts) uint64 { return n.LabelsMissed }),
		observe(b.RegisterReceiverGoroutineUntrackedCallback, func(_ int, n lifecycle.Counts) uint64 { return n.Untracked }),
		observe(b.RegisterReceiverGoroutineTreesWithheldCallback, func(_ int, n lifecycle.Counts) uint64 { return n.TreesWithheld }),
		observe(b.RegisterReceiverGoroutineDurationsLostCallback, func(_ int, n lifecycle.Counts) uint64 { return n.BucketsLost }),
	)
}
