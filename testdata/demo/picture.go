package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"os"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

//go:embed page.html
var page []byte

// The longest traces are shown, and the first goroutines of each: a picture is for looking at.
const (
	shownTraces     = 200
	shownGoroutines = 100
)

// picture is what the page shows. Times are in nanoseconds, starts are since the start of the trace.
type picture struct {
	Service string           `json:"service"`
	Counts  []map[string]int `json:"counts"` // goroutines by state, at each collection
	Traces  []*trace         `json:"traces"`
}

type trace struct {
	Name       string       `json:"name"`
	Duration   int64        `json:"duration"`
	Spans      int          `json:"spans"`
	Goroutines []*goroutine `json:"goroutines"`

	start pcommon.Timestamp
	end   pcommon.Timestamp
}

type goroutine struct {
	Name     string     `json:"name"`
	Start    int64      `json:"start"`
	Duration int64      `json:"duration"`
	States   []interval `json:"states"`
}

type interval struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Start    int64  `json:"start"`
	Duration int64  `json:"duration"`
}

// writePicture writes a page that needs no network, with what the collector exported.
func writePicture(file string, b *e2etest.Backend) error {
	return writePage(file, picture{Service: serviceOf(b), Counts: countsOf(b), Traces: tracesOf(b.Spans())})
}

func writePage(file string, p picture) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	// JSON escapes what could end the script.
	return os.WriteFile(file, bytes.Replace(page, []byte("{{DATA}}"), data, 1), 0o644)
}

func serviceOf(b *e2etest.Backend) string {
	for _, r := range b.ResourceMetrics() {
		return value(r.Resource().Attributes(), "service.name").Str()
	}
	return ""
}

func countsOf(b *e2etest.Backend) (all []map[string]int) {
	for _, m := range b.Exports("go.goroutine.count") {
		counts := map[string]int{}
		for _, p := range m.Sum().DataPoints().All() {
			counts[value(p.Attributes(), "go.goroutine.state").Str()] += int(p.IntValue())
		}
		all = append(all, counts)
	}
	return all
}

// tracesOf gathers spans by trace, the longest first.
func tracesOf(spans []ptrace.Span) []*trace {
	traces, goroutines := map[pcommon.TraceID]*trace{}, map[pcommon.SpanID]*goroutine{}
	var all []*trace
	slices.SortFunc(spans, func(a, b ptrace.Span) int { return cmp.Compare(a.StartTimestamp(), b.StartTimestamp()) })
	for _, s := range spans {
		t := traces[s.TraceID()]
		if t == nil {
			t = &trace{start: s.StartTimestamp()}
			traces[s.TraceID()] = t
			all = append(all, t)
		}
		t.Spans++
		t.end = max(t.end, s.EndTimestamp())
		t.Duration = int64(t.end - t.start)
		if _, ok := s.Attributes().Get("go.goroutine.state"); !ok && len(t.Goroutines) < shownGoroutines {
			g := &goroutine{Name: s.Name(), Start: int64(s.StartTimestamp() - t.start), Duration: length(s), States: []interval{}}
			goroutines[s.SpanID()] = g
			t.Name = cmp.Or(t.Name, g.Name)
			t.Goroutines = append(t.Goroutines, g)
		}
	}
	for _, s := range spans {
		state, ok := s.Attributes().Get("go.goroutine.state")
		if g := goroutines[s.ParentSpanID()]; ok && g != nil {
			g.States = append(g.States, interval{s.Name(), state.Str(), int64(s.StartTimestamp() - traces[s.TraceID()].start), length(s)})
		}
	}
	all = slices.DeleteFunc(all, func(t *trace) bool { return len(t.Goroutines) == 0 }) // of which only states have come
	slices.SortFunc(all, func(a, b *trace) int { return cmp.Compare(b.Duration, a.Duration) })
	return all[:min(shownTraces, len(all))]
}

func length(s ptrace.Span) int64 { return int64(s.EndTimestamp() - s.StartTimestamp()) }
