//go:build linux

package main

import (
	"cmp"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sync/errgroup"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

// lowRate is how many requests a second a server has whose traces are looked at.
const lowRate = 20

// traced is what is looked at of a server's traces.
type traced struct {
	server   string
	requests []request
	long     request // the one that took long
	spans    []ptrace.Span
}

// traces has servers answer a few requests, with each engine and all else by default, and prints what their traces are like.
func (b *bench) traces(servers []string) {
	for _, settings := range []string{"engine: uprobe", automatic, trampolines} {
		found, err := b.traced(servers, settings)
		if err != nil {
			log.Print(err)
			continue
		}
		reportTraces(os.Stdout, settings, found)
	}
}

// traced has one collector follow all servers at once.
func (b *bench) traced(servers []string, settings string) (all []*traced, err error) {
	of := *b
	if of.backend, err = e2etest.StartBackend(nil); err != nil {
		return nil, err
	}
	defer of.backend.Stop()
	exes := map[string]string{}
	for _, name := range servers {
		s, err := e2etest.ServerNamed(name)
		if err != nil {
			return nil, err
		}
		if exes[name], err = s.Build(); err != nil {
			return nil, err
		}
		of.workload = filepath.Join(filepath.Dir(exes[name]), "*") // all of them
	}
	by, err := collector(settings)(&of)
	if err != nil {
		return nil, err
	}
	detach := sync.OnceFunc(by.detach)
	defer detach()
	if all, err = of.askAll(servers, exes, by); err != nil {
		return nil, err
	}
	detach()
	for _, t := range all {
		t.spans = spansOf(of.backend, exes[t.server])
	}
	return all, nil
}

// askAll has all servers answer requests at the same time, of which one takes each of them long.
func (b *bench) askAll(servers []string, exes map[string]string, by *attached) (all []*traced, err error) {
	var group errgroup.Group
	for _, name := range servers {
		s, err := e2etest.ServerNamed(name)
		if err != nil {
			return nil, err
		}
		server, err := startServer(s, exes[name])
		if err != nil {
			return nil, err
		}
		defer server.stop()
		server.load.rate = lowRate
		t := &traced{server: name}
		all = append(all, t)
		if err := eventually(func() bool { return strings.Count(by.said.String(), "Following process") >= len(all) }); err != nil {
			return nil, fmt.Errorf("%s to be followed: %w", name, err)
		}
		group.Go(func() error { return t.ask(server.load, time.Duration(b.seconds*float64(time.Second))) })
	}
	return all, group.Wait()
}

// ask makes requests for a time.
func (t *traced) ask(l load, d time.Duration) (err error) {
	halfway := int(d.Seconds() * l.rate / float64(len(l.clients)) / 2)
	t.requests, err = l.drive(d, max(halfway, 1))
	t.long = slices.MaxFunc(t.requests, func(a, b request) int { return cmp.Compare(a.took(), b.took()) })
	return err
}

// spansOf returns what came of processes that run an executable.
func spansOf(b *e2etest.Backend, exe string) (all []ptrace.Span) {
	for _, rs := range b.ResourceSpans() {
		if path, _ := rs.Resource().Attributes().Get("process.executable.path"); path.Str() != exe {
			continue
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				all = append(all, s)
			}
		}
	}
	return all
}

// trace is a trace as a list of traces shows it.
type trace struct {
	root       ptrace.Span
	spans      int
	start, end pcommon.Timestamp
}

func (t *trace) took() time.Duration { return time.Duration(t.end - t.start) }

// list returns the traces of spans, the longest first.
func list(spans []ptrace.Span) []*trace {
	byID := map[pcommon.TraceID]*trace{}
	var all []*trace
	for _, s := range spans {
		t := byID[s.TraceID()]
		if t == nil {
			t = &trace{root: s, start: s.StartTimestamp(), end: s.EndTimestamp()}
			byID[s.TraceID()] = t
			all = append(all, t)
		}
		t.spans++
		t.start, t.end = min(t.start, s.StartTimestamp()), max(t.end, s.EndTimestamp())
		if s.ParentSpanID().IsEmpty() {
			t.root = s
		}
	}
	slices.SortStableFunc(all, func(a, b *trace) int { return cmp.Compare(b.took(), a.took()) })
	return all
}

// cause tells how well it is known what a trace was caused by.
func (t *trace) cause() string {
	cause, _ := t.root.Attributes().Get("go.goroutine.episode.cause")
	return cause.Str()
}

// isWork tells whether a trace is of a piece of work, or a goroutine that did one, and not of one that did several.
func (t *trace) isWork() bool {
	_, several := t.root.Attributes().Get("go.goroutine.episodes")
	_, preexisting := t.root.Attributes().Get("go.goroutine.preexisting")
	return !several && !preexisting
}

// isOf tells whether a trace began during a request.
func (t *trace) isOf(r request) bool {
	began := t.root.StartTimestamp().AsTime()
	return began.After(r.began) && began.Before(r.ended)
}

// quality is what a person meets in a list of traces.
type quality struct {
	// traces are all; single is the share of requests in which one began that does not belong to another as far as is known, others how many began
	// in one on average of which that is not known, spans how many the former have in the median.
	traces         int
	single, others float64
	spans          int
	// links and good are numbers of links to who ended a wait, and of those that lead to a span with a state at that moment.
	links, good int
	// place is that of the longest request when the longest traces come first, 0 if it has none; amongWork is that among traces of pieces of work.
	place, amongWork int
	before           string // the root of the first, if that is another
	roots            string // names of the most frequent roots
}

func (t *traced) quality() (q quality) {
	traces := list(t.spans)
	var spans []*trace
	n := float64(len(t.requests))
	for _, r := range t.requests {
		known := 0
		for _, trace := range traces {
			if !trace.isOf(r) {
				continue
			}
			if trace.cause() == "unknown" {
				q.others += 1 / n
			} else {
				known++
				spans = append(spans, trace)
			}
		}
		if known == 1 {
			q.single += 1 / n
		}
	}
	q.spans = int(medianOf(spans, func(t *trace) float64 { return float64(t.spans) }))
	q.links, q.good = e2etest.WakerLinks(t.spans)
	q.place, q.amongWork = t.placeIn(traces), t.placeIn(slices.DeleteFunc(slices.Clone(traces), func(of *trace) bool { return !of.isWork() }))
	if q.place != 1 && len(traces) > 0 {
		q.before = traces[0].root.Name()
	}
	q.traces, q.roots = len(traces), frequent(traces)
	return q
}

// placeIn returns the place of the first trace that is of the longest request, from 1 on.
func (t *traced) placeIn(traces []*trace) int {
	return 1 + slices.IndexFunc(traces, func(of *trace) bool { return of.isOf(t.long) })
}

// frequent names the roots that most traces have.
func frequent(traces []*trace) string {
	times := map[string]int{}
	for _, t := range traces {
		times[t.root.Name()]++
	}
	names := slices.SortedFunc(maps.Keys(times), func(a, b string) int { return cmp.Or(cmp.Compare(times[b], times[a]), cmp.Compare(a, b)) })
	var text []string
	for _, name := range names[:min(len(names), 5)] {
		text = append(text, fmt.Sprintf("%d %s", times[name], name))
	}
	return strings.Join(text, ", ")
}
