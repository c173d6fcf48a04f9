package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

const jaegerConfig = `
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 10000}}}}
  jaeger_query: {storage: {traces: memory}, http: {endpoint: %q}, grpc: {endpoint: %q}}
receivers:
  otlp: {protocols: {grpc: {endpoint: %q}}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
service:
  telemetry: {metrics: {level: none}}
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
`

// jaeger is a running Jaeger.
type jaeger struct {
	otlp, query string
}

func startJaeger(t *testing.T) jaeger {
	t.Helper()
	exe := testbuild.Module(t, "github.com/jaegertracing/jaeger", "v1.76.0", "./cmd/jaeger")
	j := jaeger{otlp: freeAddress(t), query: freeAddress(t)}
	file := filepath.Join(t.TempDir(), "jaeger.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, jaegerConfig, j.query, freeAddress(t), j.otlp), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--config", file)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	eventually(t, "Jaeger to be ready", func() bool { return strings.Contains(out.String(), "Everything is ready") }, out.String)
	return j
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// jaegerSpan is what Jaeger's HTTP API tells of a span.
type jaegerSpan struct {
	OperationName string
	Duration      int64 // µs
	References    []struct{ RefType, SpanID string }
	SpanID        string
	Tags          []struct {
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

// TestJaeger runs the configuration in the README with a Jaeger behind it.
func TestJaeger(t *testing.T) {
	testbuild.RequireRoot(t)
	j := startJaeger(t)
	exe := testbuild.Program(t, "server", testbuild.Options{})
	c := startCollector(t, readmeConfig(t, map[string]string{"/srv/*/bin/api": exe, "localhost:4317": j.otlp}))
	p := testbuild.Start(t, exe)
	address := p.Line()
	c.await("Following process")
	for range 3 {
		response, err := http.Get("http://" + address + "/fanout")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections() // ends the server's side too
	var found [][]jaegerSpan
	eventually(t, "Jaeger to have the trace of a connection", func() bool {
		found = j.traces(t, "server", "net/http.(*conn).serve")
		return len(found) == 1
	}, func() string { return fmt.Sprintf("it has %d\n%s", len(found), c.out) })

	byID, byName := map[string]jaegerSpan{}, map[string]int{}
	for _, s := range found[0] {
		byID[s.SpanID] = s
		byName[s.OperationName]++
	}
	if byName["net/http.(*conn).serve"] != 1 || byName["main.worker"] != 3*8 {
		t.Errorf("the trace has spans %v", byName)
	}
	for _, s := range found[0] {
		if s.OperationName == "main.worker" && byID[s.parent()].OperationName != "net/http.(*conn).serve" {
			t.Errorf("a worker's parent is %q", byID[s.parent()].OperationName)
		}
		if s.OperationName == "waiting: sleep" && byID[s.parent()].OperationName != "main.worker" {
			t.Errorf("%q sleeps", byID[s.parent()].OperationName)
		}
	}
	if byName["waiting: sleep"] < 3*7 {
		t.Errorf("workers slept %d times", byName["waiting: sleep"])
	}
}

// readmeConfig returns the README's example of a configuration with some texts, all of which it must have, replaced.
func readmeConfig(t *testing.T, replace map[string]string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(testbuild.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(readme)
	if example == nil {
		t.Fatal("the README has no example")
	}
	config := string(example[1])
	for from, to := range replace {
		if !strings.Contains(config, from) {
			t.Fatalf("the README's example has no %q", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	return config
}
