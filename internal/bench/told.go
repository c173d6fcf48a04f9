//go:build linux

package main

import (
	"fmt"
	"log"
	"regexp"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

// told is what the collector exported about a server.
type told struct {
	// atFull is the share of the time at level full, traced that of the trees of goroutines that were seen, both since the server was followed.
	atFull, traced float64
	engine         string // that saw it at the end
	changes        []string
	// spans and traces are numbers a request of what began while the server had steadyRate requests a second.
	spans, traces float64
	largest       int // episodes of the largest trace
}

// toldOf sums up what the backend has got, of a server that had so many requests for a time.
func (b *bench) toldOf(steady result, said string) *told {
	t := &told{}
	t.levels(b.backend, said)
	t.engines(b.backend)
	t.coverage(b.backend)
	spans := map[pcommon.TraceID]int{}
	episodes := map[pcommon.TraceID]int{}
	until := steady.began.Add(time.Duration(steady.seconds * float64(time.Second)))
	for _, s := range b.backend.Spans() {
		if e2etest.IsEpisode(s) {
			episodes[s.TraceID()]++
			t.largest = max(t.largest, episodes[s.TraceID()])
		}
		if isWithin(s, steady.began, until) {
			spans[s.TraceID()]++
		}
	}
	for _, n := range spans {
		t.spans += float64(n) / steady.ops
	}
	t.traces = float64(len(spans)) / steady.ops
	return t
}

func isWithin(s ptrace.Span, from, until time.Time) bool {
	began := s.StartTimestamp().AsTime()
	return !began.Before(from) && began.Before(until)
}

// What the collector logs when the level of a process changes, and when another engine sees a process from then on.
var levelChange = regexp.MustCompile(`(?m)^(\S+)\t.*What is seen of a process changes.*"from": "(\w+)", "to": "(\w+)", "reason": "(\w+)"`)

// levels finds out for how long a process was at which level, from what the collector has logged.
func (t *told) levels(b *e2etest.Backend, said string) {
	first, last := observed(b)
	var full time.Duration
	since, level := first, "full"
	for _, change := range levelChange.FindAllStringSubmatch(said, -1) {
		at, err := time.Parse("2006-01-02T15:04:05.000Z0700", change[1])
		if err != nil {
			log.Print(err)
		}
		if level == "full" {
			full += at.Sub(since)
		}
		since, level = at, change[3]
		t.changes = append(t.changes, fmt.Sprintf("%s to %s: %s", change[2], change[3], change[4]))
	}
	if level == "full" {
		full += last.Sub(since)
	}
	t.atFull = full.Seconds() / last.Sub(first).Seconds()
}

// engines finds out which engine saw the process at the end.
func (t *told) engines(b *e2etest.Backend) {
	for _, m := range b.Metric("go.goroutine.engine.status") {
		for _, p := range m.Gauge().DataPoints().All() {
			if p.IntValue() == 1 {
				name, _ := p.Attributes().Get("go.goroutine.engine")
				t.engine = name.Str()
			}
		}
	}
}

// observed returns between which times there are metrics.
func observed(b *e2etest.Backend) (first, last time.Time) {
	for _, m := range b.Exports("go.goroutine.count") {
		for _, p := range m.Sum().DataPoints().All() {
			if first.IsZero() {
				first = p.StartTimestamp().AsTime()
			}
			last = p.Timestamp().AsTime()
		}
	}
	return first, last
}

// coverage finds the mean of what was seen for traces.
func (t *told) coverage(b *e2etest.Backend) {
	sum, n := 0.0, 0
	for _, m := range b.Exports("go.goroutine.overhead.coverage") {
		for _, p := range m.Gauge().DataPoints().All() {
			if signal, _ := p.Attributes().Get("go.goroutine.overhead.signal"); signal.Str() == "traces" {
				sum += p.DoubleValue()
				n++
			}
		}
	}
	t.traced = sum / float64(n)
}
