package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

const (
	shownTimelines = 5
	shownRows      = 9  // goroutines of one timeline
	barWidth       = 48 // characters
	nameWidth      = 30
)

// marks draw a goroutine's states. Where none is drawn, states were too short for a span of their own.
var marks = map[string]rune{"running": '█', "runnable": '░', "syscall": '▒', "waiting": '─'}

// timelines draws the slowest requests: for each place at which a request spent most of its time, the slowest one.
func timelines(w io.Writer, spans []ptrace.Span) {
	fmt.Fprintf(w, "\nTHE SLOWEST REQUESTS, by where their time went  (█ running  ░ ready, but not run  ▒ system call  ─ waiting)\n")
	children := map[pcommon.SpanID][]ptrace.Span{}
	slices.SortFunc(spans, func(a, b ptrace.Span) int { return cmp.Compare(a.StartTimestamp(), b.StartTimestamp()) })
	for _, s := range spans {
		children[s.ParentSpanID()] = append(children[s.ParentSpanID()], s)
	}
	for _, root := range slowest(children[pcommon.SpanID{}]) {
		t := timeline{out: w, children: children, start: root.StartTimestamp(), duration: max(length(root), 1)}
		fmt.Fprintf(w, "\n%s: %.0f %% %s   trace %s\n", short(seconds(root)), 100*value(root.Attributes(), "go.goroutine.dominant.share").Double(),
			dominantOf(root), root.TraceID())
		t.draw(root, 0)
		if more := t.rows - shownRows; more > 0 {
			fmt.Fprintf(w, "  and %d goroutines more\n", more)
		}
	}
}

// slowest returns the longest piece of work of each place that was dominant in one.
func slowest(roots []ptrace.Span) []ptrace.Span {
	longest := map[string]ptrace.Span{}
	for _, s := range roots {
		if l, ok := longest[dominantOf(s)]; e2etest.IsEpisode(s) && (!ok || length(s) > length(l)) {
			longest[dominantOf(s)] = s
		}
	}
	all := slices.SortedFunc(maps.Values(longest), func(a, b ptrace.Span) int { return cmp.Compare(length(b), length(a)) })
	return all[:min(shownTimelines, len(all))]
}

func dominantOf(s ptrace.Span) string {
	return cmp.Or(value(s.Attributes(), "go.goroutine.dominant.state").Str(), "short states")
}

// timeline is the picture of one trace: its goroutines, and below each what it waited for longest.
type timeline struct {
	out      io.Writer
	children map[pcommon.SpanID][]ptrace.Span
	start    pcommon.Timestamp
	duration int64 // ns
	rows     int
}

func (t *timeline) draw(s ptrace.Span, depth int) {
	if t.rows++; t.rows > shownRows {
		return
	}
	bar := []rune(strings.Repeat(" ", barWidth))
	t.mark(bar, s, '·')
	longest, waited := s, false
	for _, c := range t.children[s.SpanID()] {
		state := value(c.Attributes(), "go.goroutine.state").Str()
		if state == "" {
			continue
		}
		t.mark(bar, c, marks[state])
		if state == "waiting" && length(c) >= length(s)/10 && (!waited || length(c) > length(longest)) {
			longest, waited = c, true
		}
	}
	fmt.Fprintf(t.out, "  %s |%s| %s%s\n", fit(strings.Repeat("  ", depth)+s.Name()), string(bar), short(seconds(s)), t.waitOf(longest, waited))
	for _, c := range t.children[s.SpanID()] {
		if value(c.Attributes(), "go.goroutine.state").Str() == "" {
			t.draw(c, depth+1)
		}
	}
}

// waitOf says where a goroutine waited longest, and who ended that.
func (t *timeline) waitOf(wait ptrace.Span, waited bool) string {
	if !waited {
		return ""
	}
	text := ", " + wait.Name()
	if line := value(wait.Attributes(), "code.line.number").Int(); line > 0 {
		text += fmt.Sprintf(":%d", line)
	}
	if waker := value(wait.Attributes(), "go.goroutine.waker.function").Str(); waker != "" {
		text += ", woken by " + waker
	}
	return text
}

// mark draws a span into a bar, one character at the least.
func (t *timeline) mark(bar []rune, s ptrace.Span, with rune) {
	at := func(of pcommon.Timestamp) int { return int(int64(of-t.start) * barWidth / t.duration) }
	from := min(max(at(s.StartTimestamp()), 0), barWidth-1)
	for i := from; i < min(max(at(s.EndTimestamp()), from+1), barWidth); i++ {
		bar[i] = with
	}
}

func seconds(s ptrace.Span) float64 { return float64(length(s)) / 1e9 }

// fit makes a name as wide as the column of names.
func fit(name string) string {
	if n := utf8.RuneCountInString(name); n <= nameWidth {
		return name + strings.Repeat(" ", nameWidth-n)
	}
	return string([]rune(name)[:nameWidth-1]) + "…"
}
