//go:build linux

package e2etest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestConfig compares a configuration in YAML with one that is made of structs.
func TestConfig(t *testing.T) {
	receiver := Following("/srv/api")
	if err := receiver.Set("overhead: {budget: 0.5}\nmax_goroutines: 7"); err != nil {
		t.Fatal(err)
	}
	c := Exporting(receiver, "127.0.0.1:1", "traces", "metrics")
	c.Process("batch", nil, "traces")
	if err := c.ServeOwnMetrics("127.0.0.1:2"); err != nil {
		t.Fatal(err)
	}
	file, err := c.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const want = `
receivers:
  goroutine:
    collection_interval: 500ms
    initial_delay: 0s
    targets: [{executable: /srv/api}]
    overhead: {budget: 0.5}
    traces: {max_spans_per_second: 0, join: false, noise: keep}
    logs: {transitions: true}
    max_goroutines: 7
processors: {batch: {}}
exporters: {otlp_grpc: {endpoint: 127.0.0.1:1, tls: {insecure: true}}}
service:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: 2}}}}]}}
  pipelines:
    traces: {receivers: [goroutine], processors: [batch], exporters: [otlp_grpc]}
    metrics: {receivers: [goroutine], exporters: [otlp_grpc]}
`
	if g, w := parsed(t, got), parsed(t, []byte(want)); !reflect.DeepEqual(g, w) {
		t.Errorf("got\n%s", got)
	}
	again, err := Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	if again.Exporters[OTLPExporter]["endpoint"] != "127.0.0.1:1" {
		t.Errorf("it is read as %+v", again)
	}
}

func parsed(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSet reads settings over others: what is not named stays.
func TestSet(t *testing.T) {
	r := Following("/srv/api")
	if err := r.Set("traces: {sampling_ratio: 0}"); err != nil {
		t.Fatal(err)
	}
	if r.CollectionInterval != 500*time.Millisecond || len(r.Targets) != 1 || r.Traces.SamplingRatio == nil || *r.Traces.SamplingRatio != 0 {
		t.Errorf("the settings are %+v", r)
	}
	if err := r.Set("traces: 1"); err == nil {
		t.Error("settings of a wrong type are taken")
	}
}

// TestOwnMetric adds up what a collector serves.
func TestOwnMetric(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# TYPE lost_total counter\nlost_total{of=\"a b\"} 3\nlost_total 4\nlost_total_more 8\nlost_more 16\nodd nothing\n"))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	if got, err := OwnMetric(address, "lost"); got != 7 || err != nil {
		t.Errorf("lost is %v, %v, want 7", got, err)
	}
	for _, name := range []string{"absent", "odd"} {
		if got, err := OwnMetric(address, name); err == nil {
			t.Errorf("%s is %v", name, got)
		}
	}
}
