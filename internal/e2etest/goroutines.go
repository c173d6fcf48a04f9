//go:build linux

package e2etest

import (
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// AwaitCount waits until go.goroutine.count is what the program's runtime counts, at rest,
// of which the program tells in its next line. It returns the count.
func AwaitCount(t testing.TB, b *Backend, c *Collector, p *testbuild.Running) int {
	t.Helper()
	var want int
	if _, err := fmt.Sscanf(p.Line(), "goroutines %d", &want); err != nil {
		t.Fatal(err)
	}
	rest := time.Now()
	Eventually(t, fmt.Sprintf("go.goroutine.count to be %d", want), func() bool { return b.SumSince("go.goroutine.count", rest) == want },
		func() string { return fmt.Sprintf("it is %d\n%s", b.Sum("go.goroutine.count"), c.Out) })
	return want
}

// GoroutineSpans returns the spans of goroutines' lives, without those of their episodes and states, by goroutine id.
func GoroutineSpans(all []ptrace.Span) map[uint64][]ptrace.Span {
	spans := map[uint64][]ptrace.Span{}
	for _, s := range all {
		if id, ok := s.Attributes().Get("go.goroutine.id"); ok && !IsEpisode(s) {
			spans[uint64(id.Int())] = append(spans[uint64(id.Int())], s)
		}
	}
	return spans
}

// StartFunction returns the function that the goroutine of a span was started for, "" for the span of a state.
func StartFunction(s ptrace.Span) string {
	if _, ok := s.Attributes().Get("go.goroutine.id"); !ok {
		return ""
	}
	function, _ := s.Attributes().Get("code.function.name")
	return function.Str()
}

// State returns the state that a span tells of, such as "running" or "waiting: chan receive"; ok is false for the span of a goroutine.
func State(s ptrace.Span) (text string, ok bool) {
	state, ok := s.Attributes().Get("go.goroutine.state")
	if !ok {
		return "", false
	}
	if reason, waits := s.Attributes().Get("go.goroutine.wait.reason"); waits {
		return state.Str() + ": " + reason.Str(), true
	}
	return state.Str(), true
}

// IsEpisode tells whether a span is of a piece of work that a goroutine has done, and not of its life.
func IsEpisode(s ptrace.Span) bool {
	_, is := s.Attributes().Get("go.goroutine.episode.cause")
	return is
}
