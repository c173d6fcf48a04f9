//go:build linux

package test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// requests is how many requests the instrumented server answers.
const requests = 3

// ownSpan is what the instrumented server tells of one of its spans.
type ownSpan struct {
	name, trace, span, parent string
	start, end                int64 // ns since 1970
}

// TestApplicationTraces follows a server that OpenTelemetry's SDK instruments: its goroutines are linked to the server's own spans, or
// become a part of its traces.
func TestApplicationTraces(t *testing.T) {
	testbuild.RequireRoot(t)
	// Labels were a map before Go 1.24.
	for _, release := range []string{"go1.22.12", "go1.23.12", "go1.24.13", testbuild.Newest} {
		exe := testbuild.Program(t, "instrumented", testbuild.Options{Version: release})
		for _, join := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/join=%v", release, join), func(t *testing.T) {
				own, spans := followInstrumented(t, exe, join)
				byFunction := map[string][]ptrace.Span{}
				byID := map[string]ptrace.Span{}
				for _, s := range spans {
					byID[s.SpanID().String()] = s
					byFunction[e2etest.StartFunction(s)] = append(byFunction[e2etest.StartFunction(s)], s)
				}
				linksAreRight(t, own, byFunction)
				if join {
					joinsAreRight(t, own, byFunction, byID)
				} else {
					staysApart(t, own, byFunction["main.fetch"])
				}
			})
		}
	}
}

// followInstrumented returns the server's own spans, by their ids, and the collector's.
func followInstrumented(t *testing.T, exe string, join bool) (own map[string]ownSpan, all []ptrace.Span) {
	t.Helper()
	b := e2etest.NewBackend(t)
	receiver := e2etest.Following(exe)
	receiver.Traces.Join = join
	own = askInstrumented(t, exe, e2etest.Exporting(receiver, b.Endpoint()))
	return own, b.Spans()
}

// askInstrumented makes requests of the server while a collector follows it, and returns the server's own spans, by their ids.
func askInstrumented(t *testing.T, exe string, config *e2etest.Config) map[string]ownSpan {
	t.Helper()
	c := e2etest.StartCollector(t, config)
	p := testbuild.Start(t, exe)
	address := p.Line()
	c.Await("Following process")
	own := map[string]ownSpan{}
	for range requests {
		response, err := http.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		for range 2 {
			var s ownSpan
			if _, err := fmt.Sscan(p.Line(), &s.name, &s.trace, &s.span, &s.parent, &s.start, &s.end); err != nil {
				t.Fatal(err)
			}
			own[s.span] = s
		}
	}
	http.DefaultClient.CloseIdleConnections()
	c.Stop()
	return own
}

// linkedTo returns the server's own spans of a name that a span has a link to.
func linkedTo(own map[string]ownSpan, s ptrace.Span, name string) (found []ownSpan) {
	for _, link := range s.Links().All() {
		if o, ok := own[link.SpanID().String()]; ok && o.trace == link.TraceID().String() && o.name == name {
			found = append(found, o)
		}
	}
	return found
}

// linksAreRight checks that each request that the connection's goroutine serves has links to the spans of that one alone.
func linksAreRight(t *testing.T, own map[string]ownSpan, spans map[string][]ptrace.Span) {
	t.Helper()
	serves := slices.DeleteFunc(slices.Clone(spans["net/http.(*conn).serve"]), func(s ptrace.Span) bool { return !e2etest.IsEpisode(s) })
	if len(serves) != requests {
		t.Fatalf("%d requests were served, want %d", len(serves), requests)
	}
	for _, s := range serves {
		for _, name := range []string{"request", "query"} {
			if links := linkedTo(own, s, name); len(links) != 1 {
				t.Errorf("a request has links to %q: %v", name, links)
			}
		}
	}
	if len(spans["main.fetch"]) != 2*requests || len(spans["main.query"]) != 2*requests || len(spans["main.part"]) != 2*requests {
		t.Errorf("there are %d, %d and %d goroutines", len(spans["main.fetch"]), len(spans["main.query"]), len(spans["main.part"]))
	}
}

// staysApart checks that what the connection's goroutine created is in its trace, with a link to the request.
func staysApart(t *testing.T, own map[string]ownSpan, fetches []ptrace.Span) {
	t.Helper()
	for _, s := range fetches {
		if links := linkedTo(own, s, "request"); len(links) != 1 || s.Links().Len() != 1 || links[0].trace == s.TraceID().String() {
			t.Errorf("a goroutine of the request has links to %v", links)
		}
	}
}

// joinsAreRight checks that goroutines are children of the spans for which they were created, and of goroutines inside the same.
func joinsAreRight(t *testing.T, own map[string]ownSpan, spans map[string][]ptrace.Span, byID map[string]ptrace.Span) {
	t.Helper()
	for function, name := range map[string]string{"main.fetch": "request", "main.query": "query"} {
		for _, s := range spans[function] {
			if parent := own[s.ParentSpanID().String()]; parent.name != name || parent.trace != s.TraceID().String() {
				t.Errorf("%s is in the trace %s as a child of %v, want %s", function, s.TraceID(), parent, name)
			}
			if link := s.Links(); link.Len() != 1 || e2etest.StartFunction(byID[link.At(0).SpanID().String()]) != "net/http.(*conn).serve" {
				t.Errorf("%s has no link to its creator", function)
			}
		}
	}
	// What the connection's goroutine itself waits for is below the spans that it works for meanwhile.
	for function, name := range map[string]string{"main.answer": "request", "main.answer.func1": "query"} {
		waits := 0
		for _, s := range spans[function] {
			if _, waited := s.Attributes().Get("go.goroutine.wait.reason"); !waited {
				continue
			}
			waits++
			if parent := own[s.ParentSpanID().String()]; parent.name != name || parent.trace != s.TraceID().String() {
				t.Errorf("a wait in %s is in the trace %s as a child of %v, want %s", function, s.TraceID(), parent, name)
			}
		}
		if waits < requests {
			t.Errorf("%s has waited %d times, want %d at least", function, waits, requests)
		}
	}
	for _, s := range spans["main.part"] {
		if parent := byID[s.ParentSpanID().String()]; e2etest.StartFunction(parent) != "main.fetch" || parent.TraceID() != s.TraceID() {
			t.Errorf("main.part is a child of %q, want main.fetch", parent.Name())
		}
	}
}
