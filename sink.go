package goroutinereceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

const (
	// batchSize is how many spans or log records are handed on at once, batchAge how long fewer may wait.
	batchSize = 4096
	batchAge  = 200 * time.Millisecond
)

// Changed takes a change of state as a log record.
func (s *shared) Changed(p *telemetry.Process, g *lifecycle.Goroutine, e *lifecycle.Event) {
	if s.nextLogs != nil {
		s.flow.Lock()
		defer s.flow.Unlock()
		s.logs.Add(p, g, e)
	}
}

// Ended takes a goroutine as a span.
func (s *shared) Ended(p *telemetry.Process, g *lifecycle.Goroutine) {
	if s.nextTraces != nil {
		s.flow.Lock()
		defer s.flow.Unlock()
		s.spans.Add(p, g)
	}
}

// Flush hands on what has been gathered. It waits for the pipeline: while that is slow, the kernel's ring buffer fills, and what it
// has no room for is counted; the targets never wait.
func (s *shared) Flush(last bool) {
	traces, logs := s.take(last)
	if n := traces.SpanCount(); n > 0 {
		ctx := s.obs.StartTracesOp(context.Background())
		err := s.nextTraces.ConsumeTraces(ctx, traces)
		s.obs.EndTracesOp(ctx, metadata.Type.String(), n, err)
		s.warn("Spans were refused", n, err)
	}
	if n := logs.LogRecordCount(); n > 0 {
		ctx := s.obs.StartLogsOp(context.Background())
		err := s.nextLogs.ConsumeLogs(ctx, logs)
		s.obs.EndLogsOp(ctx, metadata.Type.String(), n, err)
		s.warn("Log records were refused", n, err)
	}
}

// take returns what has been gathered, if it is old enough or much.
func (s *shared) take(all bool) (ptrace.Traces, plog.Logs) {
	s.flow.Lock()
	defer s.flow.Unlock()
	if !all && time.Since(s.flowed) < batchAge && s.spans.Len() < batchSize && s.logs.Len() < batchSize {
		return ptrace.NewTraces(), plog.NewLogs()
	}
	s.flowed = time.Now()
	return s.spans.Take(), s.logs.Take()
}

func (s *shared) warn(what string, n int, err error) {
	if err != nil {
		s.set.Logger.Warn(what+" by the pipeline", zap.Int("count", n), zap.Error(err))
	}
}
