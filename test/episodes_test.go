//go:build linux

package test

import (
	"io"
	"net/http"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// keepAlive is how many requests are sent by one connection, one after the other.
const keepAlive = 12

// ask sends requests by one connection.
func ask(t *testing.T, client *http.Client, url string, requests int) {
	t.Helper()
	for range requests {
		response, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
}

// traced is a trace by its spans of goroutines and episodes.
type traced struct {
	root     ptrace.Span
	children map[string]int // of the root, by the function that they were started for
}

// tracesOf returns the traces that begin with an episode.
func tracesOf(all []ptrace.Span) map[pcommon.TraceID]*traced {
	traces := map[pcommon.TraceID]*traced{}
	for _, s := range all {
		if e2etest.IsEpisode(s) && s.ParentSpanID().IsEmpty() {
			traces[s.TraceID()] = &traced{root: s, children: map[string]int{}}
		}
	}
	for _, s := range all {
		_, isGoroutine := s.Attributes().Get("go.goroutine.id")
		if t := traces[s.TraceID()]; t != nil && isGoroutine && s.ParentSpanID() == t.root.SpanID() {
			t.children[e2etest.StartFunction(s)]++
		}
	}
	return traces
}

// TestRequestsAreTraces sends a server requests by a connection that is kept: each is a trace of its own, with all that it has started, also
// if the connection was open when the server began to be followed.
func TestRequestsAreTraces(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, release := range compared {
		for name, early := range map[string]int{"new connection": 0, "open connection": 3} {
			t.Run(release+"/"+name, func(t *testing.T) {
				exe := testbuild.Program(t, "server", testbuild.Options{Version: release})
				b := e2etest.NewBackend(t)
				client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
				p := testbuild.Start(t, exe)
				url := "http://" + p.Line() + "/fanout"
				ask(t, client, url, early)
				c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(exe), b.Endpoint()))
				c.Await("Following process")
				e2etest.Eventually(t, "its goroutines to be counted", func() bool { return b.Sum("go.goroutine.count") > 0 }, c.Out.String)
				ask(t, client, url, keepAlive)
				client.CloseIdleConnections()
				c.Stop()
				requests := 0
				for _, trace := range tracesOf(b.Spans()) {
					if e2etest.StartFunction(trace.root) != "net/http.(*conn).serve" {
						continue
					}
					requests++
					if n := trace.children["main.worker"]; n != 8 {
						t.Errorf("a request has started %d workers, want 8", n)
					}
					if cause, _ := trace.root.Attributes().Get("go.goroutine.episode.cause"); cause.Str() != "exact" {
						t.Errorf("the cause of a request is %s", cause.Str())
					}
				}
				if requests != keepAlive {
					t.Errorf("%d requests are traces, want %d", requests, keepAlive)
				}
			})
		}
	}
}

// TestJobsAreInTheirRequests gives workers jobs that requests wait for: through a channel without a buffer each is a part of the request's trace,
// through one with a buffer it is assumed to be, for the worker may have found another there.
func TestJobsAreInTheirRequests(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "pool", testbuild.Options{})
	b := e2etest.NewBackend(t)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(exe), b.Endpoint()))
	url := "http://" + testbuild.Start(t, exe).Line()
	c.Await("Following process")
	jobs := func(function, cause string) (n int) {
		for _, s := range b.Spans() {
			if is, _ := s.Attributes().Get("go.goroutine.episode.cause"); e2etest.IsEpisode(s) && is.Str() == cause && e2etest.StartFunction(s) == function {
				n++
			}
		}
		return n
	}
	e2etest.Eventually(t, "it to be known that the channel has no buffer", func() bool {
		ask(t, client, url+"/direct", 1)
		return jobs("main.takeDirect", "exact") > 3
	}, c.Out.String)
	ask(t, client, url+"/direct", keepAlive)
	ask(t, client, url+"/queued", keepAlive)
	client.CloseIdleConnections()
	c.Stop()
	if n := jobs("main.takeQueued", "assumed"); n != keepAlive {
		t.Errorf("%d jobs from a buffer are assumed to be a part of their request, want %d", n, keepAlive)
	}
	if n := jobs("main.takeDirect", "exact"); n < keepAlive {
		t.Errorf("%d jobs are a part of their request, want at least %d", n, keepAlive)
	}
	traces := tracesOf(b.Spans())
	for _, s := range b.Spans() {
		cause, is := s.Attributes().Get("go.goroutine.episode.cause")
		if function := e2etest.StartFunction(s); !is || function != "main.takeDirect" && function != "main.takeQueued" {
			continue
		}
		if alone := s.ParentSpanID().IsEmpty(); alone != (cause.Str() == "unknown") {
			t.Errorf("a job with cause %s has a trace of its own: %v", cause.Str(), alone)
		}
		if cause.Str() != "unknown" && e2etest.StartFunction(traces[s.TraceID()].root) != "net/http.(*conn).serve" {
			t.Errorf("a job is in the trace of %q", traces[s.TraceID()].root.Name())
		}
		if cause.Str() == "unknown" && s.Links().Len() < 2 {
			t.Error("a job whose cause is not known has no link to who has woken its worker")
		}
	}
}

// TestLoopsGiveTheirNames has a package's function literal call workers: they and their jobs have the name of what it calls.
func TestLoopsGiveTheirNames(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "pool", testbuild.Options{})
	b := e2etest.NewBackend(t)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	url := "http://" + testbuild.Start(t, exe).Line() + "/called"
	c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(exe), b.Endpoint()))
	c.Await("Following process")
	names := func() map[string]int {
		all := map[string]int{}
		for _, s := range b.Spans() {
			if e2etest.StartFunction(s) == "main.start.func1" {
				all[s.Name()]++
			}
		}
		return all
	}
	e2etest.Eventually(t, "jobs to be told of", func() bool {
		ask(t, client, url, 1)
		return names()["main.takeCalled"] >= keepAlive
	}, c.Out.String)
	c.Stop()
	for name := range names() {
		if name != "main.takeCalled" && name != "go main.takeCalled" {
			t.Errorf("of what the literal calls, a span is called %q", name)
		}
	}
	if names()["go main.takeCalled"] == 0 {
		t.Error("no worker has a span")
	}
}
