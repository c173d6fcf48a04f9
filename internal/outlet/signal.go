package outlet

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
)

// signal is what the data of a signal have, and what can be done with them.
type signal[T any] struct {
	name    string
	items   func(T) int
	consume func(context.Context, T) error
	// mutates tells whether consume changes what it is given.
	mutates bool
	copy    func(T) T
	// failed returns the part of the data that an error says was not taken, if it says so.
	failed func(error) (T, bool)
	// With the feature gate pdata.useProtoPooling, a pipeline gives back the memory of what it was offered, also if it refuses it. ref
	// keeps it from that until unref.
	ref, unref func(T)
	// start and end enclose an operation in the collector's telemetry of receivers.
	start func(context.Context) context.Context
	end   func(ctx context.Context, items int, err error)
}

func tracesTo(next consumer.Traces, report *receiverhelper.ObsReport) signal[ptrace.Traces] {
	return signal[ptrace.Traces]{
		name:    "spans",
		items:   ptrace.Traces.SpanCount,
		consume: next.ConsumeTraces,
		mutates: next.Capabilities().MutatesData,
		copy: func(t ptrace.Traces) ptrace.Traces {
			c := ptrace.NewTraces()
			t.CopyTo(c)
			return c
		},
		failed: func(err error) (ptrace.Traces, bool) {
			partial, is := errors.AsType[consumererror.Traces](err)
			return partial.Data(), is
		},
		ref:   pref.RefTraces,
		unref: pref.UnrefTraces,
		start: report.StartTracesOp,
		end: func(ctx context.Context, items int, err error) {
			report.EndTracesOp(ctx, metadata.Type.String(), items, err)
		},
	}
}

func logsTo(next consumer.Logs, report *receiverhelper.ObsReport) signal[plog.Logs] {
	return signal[plog.Logs]{
		name:    "log records",
		items:   plog.Logs.LogRecordCount,
		consume: next.ConsumeLogs,
		mutates: next.Capabilities().MutatesData,
		copy: func(l plog.Logs) plog.Logs {
			c := plog.NewLogs()
			l.CopyTo(c)
			return c
		},
		failed: func(err error) (plog.Logs, bool) {
			partial, is := errors.AsType[consumererror.Logs](err)
			return partial.Data(), is
		},
		ref:   pref.RefLogs,
		unref: pref.UnrefLogs,
		start: report.StartLogsOp,
		end: func(ctx context.Context, items int, err error) {
			report.EndLogsOp(ctx, metadata.Type.String(), items, err)
		},
	}
}
