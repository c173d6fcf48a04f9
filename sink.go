package goroutinereceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

const (
	// batchSize is how many spans or log records are handed on at once, batchAge how long fewer may wait.
	batchSize = 4096
	batchAge  = 200 * time.Millisecond
	// firstPause is how long to wait before what the pipeline refused is offered again, lastPause the longest such wait, and
	// offerFor for how long it is offered at all.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	offerFor   = 5 * time.Minute
)

// Changed takes a change of state as a log record, and its durations as exemplars.
func (s *shared) Changed(p *telemetry.Process, g *lifecycle.Goroutine, e *lifecycle.Event) {
	if s.hasMetrics && s.nextTraces != nil {
		p.Observe(g, e)
	}
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

// Leveled takes a change of how much is seen of a process as a log record.
func (s *shared) Leveled(p *telemetry.Process, c telemetry.LevelChange) {
	if s.nextLogs != nil {
		s.logs.AddLevelChange(p, c)
	}
}

// Flush hands on what has been gathered, if it is old enough or much. It waits for the pipeline: while that is slow, or refuses data
// as memory_limiter does, the kernel's ring buffer fills, and what it has no room for is counted; the targets never wait.
func (s *shared) Flush(done <-chan struct{}, last bool) {
	if !last && s.spans.Len() < batchSize && s.logs.Len() < batchSize && time.Since(s.flowed) < batchAge {
		return
	}
	s.flowed = time.Now()
	ctx := context.Background()
	if n := s.spans.Len(); n > 0 {
		traces := s.spans.Take()
		pref.RefTraces(traces) // with pdata.useProtoPooling, a pipeline empties also what it refuses
		op := s.obs.StartTracesOp(ctx)
		err := offer(done, func() error { return s.nextTraces.ConsumeTraces(op, traces) })
		s.obs.EndTracesOp(op, metadata.Type.String(), n, err)
		pref.UnrefTraces(traces)
		s.warn("Spans were refused", n, err)
	}
	if n := s.logs.Len(); n > 0 {
		logs := s.logs.Take()
		pref.RefLogs(logs)
		op := s.obs.StartLogsOp(ctx)
		err := offer(done, func() error { return s.nextLogs.ConsumeLogs(op, logs) })
		s.obs.EndLogsOp(op, metadata.Type.String(), n, err)
		pref.UnrefLogs(logs)
		s.warn("Log records were refused", n, err)
	}
}

// offer calls consume until it takes what is offered, refuses it for good, or has been asked for long enough. Once done is closed it asks
// no more.
func offer(done <-chan struct{}, consume func() error) error {
	began := time.Now()
	err := consume()
	for pause := firstPause; err != nil && !consumererror.IsPermanent(err) && time.Since(began) < offerFor; pause = min(2*pause, lastPause) {
		select {
		case <-done:
			return err
		case <-time.After(pause):
		}
		err = consume()
	}
	return err
}

func (s *shared) warn(what string, n int, err error) {
	if err != nil {
		s.set.Logger.Warn(what+" by the pipeline", zap.Int("count", n), zap.Error(err))
	}
}
