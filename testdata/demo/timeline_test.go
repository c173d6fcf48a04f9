//go:build linux

package main

import (
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestTimelines draws the slower one of two requests that spent their time at the same place, with who ended what it waited for.
func TestTimelines(t *testing.T) {
	const unit = 1000000 // one character of a bar that is barWidth long
	root := episode(span(1, 1, 0, "serve", "", 0, 48*unit), "main.slow")
	wait := span(1, 2, 1, "chan receive in main.slow", "waiting", 8*unit, 32*unit)
	wait.Attributes().PutInt("code.line.number", 7)
	wait.Attributes().PutStr("go.goroutine.waker.function", "main.worker")
	spans := []ptrace.Span{
		episode(span(2, 5, 0, "serve", "", 0, unit), "main.slow"),
		wait,
		span(1, 3, 1, "go main.worker", "", 12*unit, 24*unit),
		span(1, 4, 3, "running", "running", 12*unit, 12*unit),
		root,
		span(3, 6, 0, "go main.lives", "", 0, 99*unit),
	}
	var out strings.Builder
	timelines(&out, spans)
	want := []string{
		"48ms: 67 % main.slow   trace 01000000000000000000000000000000",
		"  serve                          |········────────────────────────────────········| 48ms, chan receive in main.slow:7, woken by main.worker",
		"    go main.worker               |            ████████████············            | 24ms",
	}
	if _, got, _ := strings.Cut(strings.TrimSpace(out.String()), "\n\n"); got != strings.Join(want, "\n") {
		t.Errorf("drawn is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func episode(s ptrace.Span, dominant string) ptrace.Span {
	s.Attributes().PutStr("go.goroutine.episode.cause", "exact")
	s.Attributes().PutStr("go.goroutine.dominant.state", dominant)
	s.Attributes().PutDouble("go.goroutine.dominant.share", 0.67)
	return s
}

func span(trace, id, parent byte, name, state string, start, duration uint64) ptrace.Span {
	s := ptrace.NewSpan()
	s.SetTraceID(pcommon.TraceID{trace})
	s.SetSpanID(pcommon.SpanID{id})
	s.SetParentSpanID(pcommon.SpanID{parent})
	s.SetName(name)
	s.SetStartTimestamp(pcommon.Timestamp(1e9 + start))
	s.SetEndTimestamp(pcommon.Timestamp(1e9 + start + duration))
	if state != "" {
		s.Attributes().PutStr("go.goroutine.state", state)
	}
	return s
}
