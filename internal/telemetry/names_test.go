//go:build linux

package telemetry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/semconv/v1.40.0/goconv"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// conventional are the attributes that the semantic conventions have names for.
var conventional = map[attribute.Key]bool{
	semconv.CodeFunctionNameKey: true, semconv.CodeFilePathKey: true, semconv.CodeLineNumberKey: true, semconv.CodeStacktraceKey: true,
	semconv.ThreadIDKey: true, semconv.ProcessPIDKey: true, semconv.ProcessExecutableNameKey: true, semconv.ProcessExecutablePathKey: true,
	semconv.ProcessRuntimeNameKey: true, semconv.ProcessRuntimeVersionKey: true, semconv.ProcessCommandLineKey: true,
	semconv.ServiceNameKey: true, semconv.ServiceInstanceIDKey: true, semconv.ServiceNamespaceKey: true, semconv.DeploymentEnvironmentNameKey: true,
	semconv.ServiceVersionKey: true, semconv.HostIDKey: true, semconv.HostNameKey: true, semconv.VCSRefHeadRevisionKey: true, semconv.ContainerIDKey: true,
}

// namesAreRight checks that each name is the conventions', or in the namespace of goroutines.
func namesAreRight(t *testing.T, attributes pcommon.Map) {
	t.Helper()
	for name := range attributes.All() {
		if !conventional[attribute.Key(name)] && !strings.HasPrefix(name, "go.goroutine.") {
			t.Errorf("no convention knows the attribute %s", name)
		}
	}
}

func TestNamesOfAttributes(t *testing.T) {
	p := play(t, true, 0)
	spans := NewSpans(scope, testClock(), SpanOptions{States: StateSpans})
	for _, g := range p.ended {
		spans.Add(p.process, g)
	}
	for _, rs := range spans.Take().ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			namesAreRight(t, span.Attributes())
		}
	}
	for _, rl := range p.logs.Take().ResourceLogs().All() {
		for _, record := range rl.ScopeLogs().At(0).LogRecords().All() {
			namesAreRight(t, record.Attributes())
		}
	}
	rb := metadata.NewResourceBuilder(metadata.DefaultResourceAttributesConfig())
	resource := NewResource(rb, processes.Process{PID: os.Getpid(), Executable: "/bin/api"}, &goexe.Binary{GoVersion: "go1.27.0", Revision: "1"})
	require.Greater(t, resource.Attributes().Len(), 5)
	namesAreRight(t, resource.Attributes())
}

// The metrics that the conventions have are called, and measured, as they say.
func TestNamesOfMetrics(t *testing.T) {
	want := map[string]string{}
	for _, m := range []interface {
		Name() string
		Unit() string
	}{goconv.ScheduleDuration{}, goconv.GoroutineCount{}} {
		want[m.Name()] = m.Unit()
	}
	metrics, err := golden.ReadMetrics(filepath.Join("testdata", "golden", "metrics.yaml"))
	require.NoError(t, err)
	found := 0
	for _, m := range metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if unit, ok := want[m.Name()]; ok {
			found++
			require.Equal(t, unit, m.Unit(), m.Name())
		} else if !strings.HasPrefix(m.Name(), "go.goroutine.") {
			t.Errorf("no convention knows the metric %s", m.Name())
		}
	}
	require.Equal(t, len(want), found)
}
