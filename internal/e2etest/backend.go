//go:build linux

package e2etest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
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
	"google.golang.org/grpc/stats"
)

// Backend is a gRPC server on loopback. Its methods are safe for concurrent use.
type Backend struct {
	server   *grpc.Server
	endpoint string
	received byteCounter

	mu      sync.Mutex
	traces  []ptrace.Traces
	metrics []pmetric.Metrics
	logs    []plog.Logs
}

// maxMessage bounds an export request, in bytes.
const maxMessage = 64 << 20

// NewBackend returns a Backend that serves until the test ends.
func NewBackend(t testing.TB) *Backend {
	t.Helper()
	return NewBackendAnswering(t, nil)
}

// NewBackendAnswering is NewBackend with what StartBackend takes.
func NewBackendAnswering(t testing.TB, answer func(context.Context) error) *Backend {
	t.Helper()
	b, err := StartBackend(answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// StartBackend returns a Backend that serves until Stop. It takes no request to which answer returns an error, and none before answer
// returns; a nil answer takes all.
func StartBackend(answer func(context.Context) error) (*Backend, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for OTLP: %w", err)
	}
	b := &Backend{endpoint: l.Addr().String()}
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(maxMessage), grpc.StatsHandler(&b.received)}
	if answer != nil {
		options = append(options, grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := answer(ctx); err != nil {
				return nil, err
			}
			return handle(ctx, request)
		}))
	}
	b.server = grpc.NewServer(options...)
	ptraceotlp.RegisterGRPCServer(b.server, &tracesServer{backend: b})
	pmetricotlp.RegisterGRPCServer(b.server, &metricsServer{backend: b})
	plogotlp.RegisterGRPCServer(b.server, &logsServer{backend: b})
	go func() { _ = b.server.Serve(l) }()
	return b, nil
}

// Stop closes all connections.
func (b *Backend) Stop() { b.server.Stop() }

// Endpoint is the host and port to export to.
func (b *Backend) Endpoint() string { return b.endpoint }

// Received returns how many bytes all requests so far have had, as they were sent: compressed.
func (b *Backend) Received() int64 { return b.received.n.Load() }

// byteCounter counts the bytes of requests.
type byteCounter struct{ n atomic.Int64 }

// HandleRPC implements stats.Handler.
func (c *byteCounter) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InPayload); ok {
		c.n.Add(int64(in.CompressedLength))
	}
}

// TagRPC implements stats.Handler.
func (c *byteCounter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (c *byteCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (c *byteCounter) HandleConn(context.Context, stats.ConnStats) {}

type tracesServer struct {
	ptraceotlp.UnimplementedGRPCServer
	backend *Backend
}

func (s *tracesServer) Export(_ context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	s.backend.traces = append(s.backend.traces, r.Traces())
	return ptraceotlp.NewExportResponse(), nil
}

type metricsServer struct {
	pmetricotlp.UnimplementedGRPCServer
	backend *Backend
}

func (s *metricsServer) Export(_ context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	s.backend.metrics = append(s.backend.metrics, r.Metrics())
	return pmetricotlp.NewExportResponse(), nil
}

type logsServer struct {
	plogotlp.UnimplementedGRPCServer
	backend *Backend
}

func (s *logsServer) Export(_ context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	s.backend.logs = append(s.backend.logs, r.Logs())
	return plogotlp.NewExportResponse(), nil
}

// ResourceSpans returns all spans received so far, with their resources.
func (b *Backend) ResourceSpans() (all []ptrace.ResourceSpans) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, traces := range b.traces {
		for _, rs := range traces.ResourceSpans().All() {
			all = append(all, rs)
		}
	}
	return all
}

// Spans returns all spans received so far.
func (b *Backend) Spans() (all []ptrace.Span) {
	for _, rs := range b.ResourceSpans() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				all = append(all, span)
			}
		}
	}
	return all
}

// LogRecords returns all log records received so far.
func (b *Backend) LogRecords() []plog.LogRecord {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []plog.LogRecord
	for _, logs := range b.logs {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					all = append(all, record)
				}
			}
		}
	}
	return all
}

// Records returns the log records of an event received so far.
func (b *Backend) Records(event string) (found []plog.LogRecord) {
	for _, r := range b.LogRecords() {
		if r.EventName() == event {
			found = append(found, r)
		}
	}
	return found
}

// ResourceMetrics returns all metrics received so far, with their resources, the oldest first.
func (b *Backend) ResourceMetrics() (all []pmetric.ResourceMetrics) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, metrics := range b.metrics {
		for _, rm := range metrics.ResourceMetrics().All() {
			all = append(all, rm)
		}
	}
	return all
}

// Exports returns the metrics of a name in all exports so far, the oldest first.
func (b *Backend) Exports(name string) (all []pmetric.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, metrics := range b.metrics {
		all = append(all, MetricsNamed(metrics, name)...)
	}
	return all
}

// Metric returns the metrics of a name, one for each resource, of the newest export that has any.
func (b *Backend) Metric(name string) []pmetric.Metric {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.metrics) - 1; i >= 0; i-- {
		if found := MetricsNamed(b.metrics[i], name); found != nil {
			return found
		}
	}
	return nil
}

// MetricsNamed returns the metrics of a name, one for each resource.
func MetricsNamed(metrics pmetric.Metrics, name string) (found []pmetric.Metric) {
	for _, rm := range metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() == name {
					found = append(found, m)
				}
			}
		}
	}
	return found
}

// Sum returns the newest value of a metric of integers, over all its data points; -1 if it has not come yet.
func (b *Backend) Sum(name string) int { return b.SumSince(name, time.Time{}) }

// SumSince is Sum, but -1 if the newest value is from before a time.
func (b *Backend) SumSince(name string, since time.Time) int {
	metrics := b.Metric(name)
	if metrics == nil {
		return -1
	}
	sum := 0
	for _, m := range metrics {
		for _, p := range m.Sum().DataPoints().All() {
			if p.Timestamp().AsTime().Before(since) {
				return -1
			}
			sum += int(p.IntValue())
		}
	}
	return sum
}
