//go:build linux

package goroutinereceiver

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// batchSize is how many spans or log records are handed on at once, batchAge how long fewer may wait.
const (
	batchSize = 4096
	batchAge  = 200 * time.Millisecond
)

// Changed takes a change of state as a log record, and its durations as exemplars.
func (s *shared) Changed(p *telemetry.Process, g *lifecycle.Goroutine, e *lifecycle.Event) {
	if s.hasMetrics && s.nextTraces != nil {
		p.Observe(g, e)
	}
	if s.logsTransitions() {
		s.logs.Add(p, g, e)
	}
}

// Ended takes a goroutine as a span.
func (s *shared) Ended(p *telemetry.Process, g *lifecycle.Goroutine) {
	if s.logsTransitions() {
		s.logs.End(p, g)
	}
	if s.nextTraces != nil {
		s.spans.Add(p, g)
	}
}

// OnLevelChange takes a change of how much is seen of a process as a log record.
func (s *shared) OnLevelChange(p *telemetry.Process, c telemetry.LevelChange) {
	if s.nextLogs != nil {
		s.logs.AddLevelChange(p, c)
	}
}

// Flush hands on what has been gathered, if it is old enough or much. It never waits for the pipeline.
func (s *shared) Flush(last bool) {
	if !last && s.spans.Len() < batchSize && s.logs.Len() < batchSize && time.Since(s.flowed) < batchAge {
		return
	}
	s.flowed = time.Now()
	if s.spans.Len() > 0 {
		s.outlet.Traces(s.spans.Take())
	}
	if s.logs.Len() > 0 {
		s.outlet.Logs(s.logs.Take())
	}
}

// Busy tells whether so much waits for the pipeline that new trees of goroutines should not be sampled.
func (s *shared) Busy() bool { return s.outlet.Busy() }
