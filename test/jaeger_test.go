//go:build linux

package test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// jaeger is a running Jaeger.
type jaeger struct {
	otlp, query string
}

// config keeps traces in memory; grpc is where Jaeger answers queries by gRPC.
func (j jaeger) config(grpc string) *e2etest.Config {
	type settings = e2etest.Settings
	c := &e2etest.Config{
		Receivers: map[string]any{"otlp": settings{"protocols": settings{"grpc": settings{"endpoint": j.otlp}}}},
		Exporters: map[string]e2etest.Settings{"jaeger_storage_exporter": {"trace_storage": "memory"}},
		Service: e2etest.Service{
			Telemetry: settings{"metrics": settings{"level": "none"}},
			Pipelines: map[string]*e2etest.Pipeline{"traces": {Receivers: []string{"otlp"}, Exporters: []string{"jaeger_storage_exporter"}}},
		},
	}
	c.Extend("jaeger_storage", settings{"backends": settings{"memory": settings{"memory": settings{"max_traces": 10000}}}})
	c.Extend("jaeger_query", settings{
		"storage": settings{"traces": "memory"}, "http": settings{"endpoint": j.query}, "grpc": settings{"endpoint": grpc},
	})
	return c
}

func startJaeger(t *testing.T) jaeger {
	t.Helper()
	exe := testbuild.Module(t, "github.com/jaegertracing/jaeger", "v1.76.0", "./cmd/jaeger")
	j := jaeger{otlp: e2etest.Address(t), query: e2etest.Address(t)}
	file, err := j.config(e2etest.Address(t)).Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--config", file)
	out := &e2etest.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	e2etest.Eventually(t, "Jaeger to be ready", func() bool { return out.Has(e2etest.Ready) }, out.String)
	return j
}

// jaegerSpan is what Jaeger's HTTP API tells of a span.
type jaegerSpan struct {
	OperationName       string
	StartTime, Duration int64 // µs, both rounded down
	References          []struct{ RefType, SpanID string }
	SpanID              string
	Warnings            []string
	Tags                []struct {
		Key   string
		Value any
	}
}

func (s jaegerSpan) parent() string {
	for _, r := range s.References {
		if r.RefType == "CHILD_OF" {
			return r.SpanID
		}
	}
	return ""
}

// traces returns the spans of each trace of a service that has the operation.
func (j jaeger) traces(t *testing.T, service, operation string) [][]jaegerSpan {
	t.Helper()
	q := url.Values{"service": {service}, "operation": {operation}, "limit": {"100"}, "lookback": {"1h"}}
	response, err := http.Get("http://" + j.query + "/api/traces?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Data []struct{ Spans []jaegerSpan }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	var traces [][]jaegerSpan
	for _, trace := range answer.Data {
		traces = append(traces, trace.Spans)
	}
	return traces
}

// Names of spans of the server.
const (
	request = "main.fanOut"
	worker  = "go main.worker"
	sleep   = "sleep in main.worker"
)

// connections is how many the server is given under load; each has one request, which makes it spawn 8 workers.
const connections = 60

// TestJaeger runs the first example of docs/configuration.md with a Jaeger behind it, and a server under load before it.
func TestJaeger(t *testing.T) {
	testbuild.RequireRoot(t)
	j := startJaeger(t)
	exe := testbuild.Program(t, "server", testbuild.Options{})
	c := e2etest.StartCollector(t, exampleConfig(t, exe, j.otlp))
	p := testbuild.Start(t, exe)
	address := p.Line()
	c.Await("Following process")
	e2etest.Load(t, "http://"+address+"/fanout", connections)
	var found [][]jaegerSpan
	e2etest.Eventually(t, "Jaeger to have the traces of all requests", func() bool {
		found = j.traces(t, "server", request)
		return len(found) == connections
	}, func() string { return fmt.Sprintf("it has %d\n%s", len(found), c.Out) })
	for _, trace := range found {
		requestIsRight(t, trace)
	}
}

// requestIsRight checks the tree of a request's trace, that what is in it is in order, and that what has a parent is inside that in
// time.
func requestIsRight(t *testing.T, trace []jaegerSpan) {
	t.Helper()
	byID, byName := map[string]jaegerSpan{}, map[string]int{}
	states := map[string][]jaegerSpan{} // of each goroutine
	for _, s := range trace {
		byID[s.SpanID] = s
		byName[s.OperationName]++
		if s.is("go.goroutine.state") {
			states[s.parent()] = append(states[s.parent()], s)
		}
	}
	for id, s := range states {
		slices.SortFunc(s, func(a, b jaegerSpan) int {
			return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), cmp.Compare(a.Duration, b.Duration))
		})
		for i := range s[1:] {
			if s[i].end() > s[i+1].StartTime+rounding {
				t.Errorf("%q is %q until %d, but %q from %d on", byID[id].OperationName, s[i].OperationName, s[i].end(), s[i+1].OperationName, s[i+1].StartTime)
			}
		}
	}
	// One does not sleep. On a busy machine, the short sleeps of some may be nearly over before they begin: they are folded.
	if byName[request] != 1 || byName[worker] != 8 || byName[sleep] < 4 {
		t.Errorf("the trace has spans %v", byName)
	}
	for _, s := range trace {
		parent, ok := byID[s.parent()]
		switch {
		case s.OperationName == request:
			if s.parent() != "" {
				t.Errorf("the request has a parent, %q", parent.OperationName)
			}
			continue
		case !ok:
			t.Errorf("the parent of a span %q is missing", s.OperationName)
			continue
		case s.OperationName == worker && parent.OperationName != request,
			s.OperationName == sleep && parent.OperationName != worker:
			t.Errorf("the parent of a span %q is %q", s.OperationName, parent.OperationName)
		}
		end := s.end()
		for _, own := range states[s.SpanID] {
			if own.is("go.goroutine.wait.reason") {
				end = own.end() // what a worker does after it has sent its result, its creator does not wait for
			}
		}
		if s.StartTime < parent.StartTime || end > parent.end()+rounding {
			t.Errorf("%q is from %d to %d, its parent %q from %d to %d", s.OperationName, s.StartTime, s.end(), parent.OperationName, parent.StartTime, parent.end())
		}
	}
}

// rounding is by how much the end of a span may seem to be late, in µs.
const rounding = 1

func (s jaegerSpan) end() int64 { return s.StartTime + s.Duration }

// is tells whether a span has a tag.
func (s jaegerSpan) is(key string) bool {
	for _, tag := range s.Tags {
		if tag.Key == key {
			return true
		}
	}
	return false
}

// exampleConfig returns the first example of docs/configuration.md, with another target and another backend.
func exampleConfig(t *testing.T, exe, endpoint string) *e2etest.Config {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testbuild.Root(), "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if example == nil {
		t.Fatal("docs/configuration.md has no example")
	}
	config, err := e2etest.Parse(example[1])
	if err != nil {
		t.Fatal(err)
	}
	receiver, _ := config.Receivers["goroutine"].(map[string]any)
	exporter := config.Exporters[e2etest.OTLPExporter]
	if receiver["targets"] == nil || exporter["endpoint"] == nil {
		t.Fatalf("the example has no target or no endpoint:\n%s", example[1])
	}
	receiver["targets"], exporter["endpoint"] = []e2etest.Target{{Executable: exe}}, endpoint
	receiver["overhead"] = map[string]any{"budget": 0} // all connections are looked for, however many come at once
	return config
}
