//go:build linux

package test

import (
	"encoding/hex"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestJoinedInJaeger sends the spans of a server that OpenTelemetry's SDK instruments, and what the collector adds to its traces, to a Jaeger, with the
// attribute that tells it that they are of the same host. Then it has nothing to warn of: neither of clocks that differ, nor of spans whose
// parent is missing, or that have the same id.
func TestJoinedInJaeger(t *testing.T) {
	testbuild.RequireRoot(t)
	j := startJaeger(t)
	b := e2etest.NewBackend(t)
	exe := testbuild.Program(t, "instrumented", testbuild.Options{})
	own := askInstrumented(t, exe, exampleConfig(t, exe, b.Endpoint()))
	all := ptrace.NewTraces()
	for _, rs := range b.ResourceSpans() {
		rs.CopyTo(all.ResourceSpans().AppendEmpty())
	}
	asSent(t, own).CopyTo(all.ResourceSpans().AppendEmpty())
	for _, rs := range all.ResourceSpans().All() {
		rs.Resource().Attributes().PutStr("ip", "192.0.2.1")
	}
	j.take(t, all)
	found := j.traces(t, "instrumented", "go main.query")
	if len(found) != requests {
		t.Fatalf("of %d requests Jaeger has %d traces", requests, len(found))
	}
	for _, trace := range found {
		names := map[string]int{}
		for _, s := range trace {
			names[s.OperationName]++
			if len(s.Warnings) != 0 {
				t.Errorf("Jaeger warns of %q: %v", s.OperationName, s.Warnings)
			}
		}
		if names["request"] != 1 || names["query"] != 1 || names["go main.query"] != 2 || names["go main.fetch"] != 2 || names["go main.part"] != 2 {
			t.Errorf("a trace has spans %v", names)
		}
	}
}

// asSent returns the server's own spans as the SDK's exporter sends them.
func asSent(t *testing.T, own map[string]ownSpan) ptrace.ResourceSpans {
	t.Helper()
	rs := ptrace.NewResourceSpans()
	rs.Resource().Attributes().PutStr("service.name", "instrumented")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for _, o := range own {
		s := spans.AppendEmpty()
		s.SetName(o.name)
		s.SetTraceID(pcommon.TraceID(unhex(t, o.trace)))
		s.SetSpanID(pcommon.SpanID(unhex(t, o.span)))
		s.SetParentSpanID(pcommon.SpanID(unhex(t, o.parent)))
		s.SetStartTimestamp(pcommon.Timestamp(o.start))
		s.SetEndTimestamp(pcommon.Timestamp(o.end))
	}
	return rs
}

// take has it store traces.
func (j jaeger) take(t *testing.T, traces ptrace.Traces) {
	t.Helper()
	conn, err := grpc.NewClient(j.otlp, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(traces)); err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, id string) []byte {
	t.Helper()
	b, err := hex.DecodeString(id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
