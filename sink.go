package goroutinereceiver

import (
	"context"
	"time"

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
		s.logs.Add(p, g, e)
	}
}

// Ended takes a goroutine as a span.
func (s *shared) Ended(p *telemetry.Process, g *lifecycle.Goroutine) {
	if s.nextTraces != nil {
		s.spans.Add(p, g)
	}
}

// Flush hands on what has been gathered. It waits for the pipeline: while that is slow, the kernel's ring buffer fills, and what it
// has no room for is counted; the targets never wait.
func (s *shared) Flush(last bool) {
	if !last && time.Since(s.flowed) < batchAge && s.spans.Len() < batchSize && s.logs.Len() < batchSize {
		return
	}
	s.flowed = time.Now()
	if n := s.spans.Len(); n > 0 {
		ctx := s.obs.StartTracesOp(context.Background())
		err := s.nextTraces.ConsumeTraces(ctx, s.spans.Take())
		s.obs.EndTracesOp(ctx, metadata.Type.String(), n, err)
		s.warn("Spans were refused", n, err)
	}
	if n := s.logs.Len(); n > 0 {
		ctx := s.obs.StartLogsOp(context.Background())
		err := s.nextLogs.ConsumeLogs(ctx, s.logs.Take())
		s.obs.EndLogsOp(ctx, metadata.Type.String(), n, err)
		s.warn("Log records were refused", n, err)
	}
}

func (s *shared) warn(what string, n int, err error) {
	if err != nil {
		s.set.Logger.Warn(what+" by the pipeline", zap.Int("count", n), zap.Error(err))
	}
}
