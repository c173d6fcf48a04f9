// Package test runs the built collector against real programs. Its tests need root, and the collector of "make build".
package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // the exporter compresses

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// requireRoot skips a test that cannot attach probes; in CI that is a failure.
func requireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("CI must run the tests as root: probes cannot be attached")
	}
	t.Skip("NOT TESTED: probes can be attached only by root")
}

// backend is an OTLP server on loopback that keeps what it receives.
type backend struct {
	ptraceotlp.UnimplementedGRPCServer
	endpoint string

	mu      sync.Mutex
	traces  ptrace.Traces
	metrics []pmetric.Metrics
	logs    plog.Logs
}

func newBackend(t testing.TB) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{endpoint: l.Addr().String(), traces: ptrace.NewTraces(), logs: plog.NewLogs()}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	ptraceotlp.RegisterGRPCServer(s, b)
	pmetricotlp.RegisterGRPCServer(s, &metricsServer{backend: b})
	plogotlp.RegisterGRPCServer(s, &logsServer{backend: b})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return b
}

func (b *backend) Export(_ context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Traces().ResourceSpans().MoveAndAppendTo(b.traces.ResourceSpans())
	return ptraceotlp.NewExportResponse(), nil
}

type metricsServer struct {
	pmetricotlp.UnimplementedGRPCServer
	backend *backend
}

func (m *metricsServer) Export(_ context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	m.backend.mu.Lock()
	defer m.backend.mu.Unlock()
	m.backend.metrics = append(m.backend.metrics, r.Metrics())
	return pmetricotlp.NewExportResponse(), nil
}

type logsServer struct {
	plogotlp.UnimplementedGRPCServer
	backend *backend
}

func (l *logsServer) Export(_ context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	l.backend.mu.Lock()
	defer l.backend.mu.Unlock()
	r.Logs().ResourceLogs().MoveAndAppendTo(l.backend.logs.ResourceLogs())
	return plogotlp.NewExportResponse(), nil
}

// spans returns all spans received so far.
func (b *backend) spans() []ptrace.Span {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []ptrace.Span
	for _, rs := range b.traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				all = append(all, span)
			}
		}
	}
	return all
}

// points returns the data points of a metric in the newest export that has it.
func (b *backend) points(metric string) (points []pmetric.NumberDataPoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.metrics) - 1; i >= 0 && points == nil; i-- {
		for _, rm := range b.metrics[i].ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != metric || m.Type() != pmetric.MetricTypeSum {
						continue
					}
					for _, p := range m.Sum().DataPoints().All() {
						points = append(points, p)
					}
				}
			}
		}
	}
	return points
}

// sum returns the newest value of a metric of integers, over all its data points; -1 if it has not come yet.
func (b *backend) sum(metric string) int {
	points := b.points(metric)
	if points == nil {
		return -1
	}
	sum := 0
	for _, p := range points {
		sum += int(p.IntValue())
	}
	return sum
}

// collector is a running otelcol-goroutine.
type collector struct {
	t   testing.TB
	cmd *exec.Cmd
	out *output
}

// output gathers what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// exporterTo is the configuration of the OTLP exporter, and the pipelines of all signals, towards an endpoint.
const exporterTo = `
exporters:
  otlp_grpc:
    endpoint: %s
    tls: {insecure: true}
service:
  telemetry:
    metrics: {level: none}
  pipelines:
    traces: {receivers: [goroutine], exporters: [otlp_grpc]}
    metrics: {receivers: [goroutine], exporters: [otlp_grpc]}
    logs: {receivers: [goroutine], exporters: [otlp_grpc]}
`

// startCollector runs the collector with a configuration until the test ends.
func startCollector(t testing.TB, config string) *collector {
	t.Helper()
	requireRoot(t)
	binary := filepath.Join(testbuild.Root(), "bin", "otelcol-goroutine")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("the collector is not built (make build): %v", err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &collector{t: t, cmd: exec.Command(binary, "--config", file), out: &output{}}
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.stop()
		if t.Failed() {
			t.Logf("the collector logged:\n%s", c.out)
		}
	})
	c.await("Everything is ready")
	return c
}

const patience = 20 * time.Second

// await waits until the collector has logged something.
func (c *collector) await(text string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("collector to log %q", text), func() bool { return strings.Contains(c.out.String(), text) },
		func() string { return c.out.String() })
}

// stop ends the collector as a service manager does, and waits for it.
func (c *collector) stop() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	hung := time.AfterFunc(patience, func() { _ = c.cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the collector ended with %v\n%s", err, c.out)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool, context func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s\n%s", what, context())
		}
	}
}
