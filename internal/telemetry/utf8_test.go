//go:build linux

package telemetry

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// hostile names each function and file with the same bytes.
type hostile string

func (h hostile) frame() pclntab.Frame {
	return pclntab.Frame{Function: "main." + string(h), File: "/src/" + string(h), Line: 1}
}
func (h hostile) StartFunction(uint64) pclntab.Frame { return h.frame() }
func (h hostile) Frames(uint64) []pclntab.Frame      { return []pclntab.Frame{h.frame()} }

var hostileBytes = map[string]string{
	"a byte":                "\xff",
	"between others":        "a\xc3b",
	"a sequence cut off":    "\xe2\x82",
	"an overlong sequence":  "\xc0\xaf",
	"a surrogate":           "\xed\xa0\x80",
	"above Unicode":         "\xf4\x90\x80\x80",
	"Latin-1":               "M\xfcller",
	"nothing but such":      strings.Repeat("\x80", 100),
	"with what is allowed":  "ü\x00\u2028€\xff",
	"UTF-16":                "\xff\xfea\x00",
	"a continuation byte":   "\xbf",
	"all of them, a string": "\xff\xc3\xe2\x82\xc0\xaf\xed\xa0\x80\xf4",
}

// strict parses as a backend does that takes no string which is not UTF-8.
func strict(t *testing.T, data []byte, err error, into proto.Message) {
	t.Helper()
	require.NoError(t, err)
	require.NotEmpty(t, data)
	assert.NoError(t, proto.Unmarshal(data, into))
}

// FuzzStringsAreUTF8 has a process of which all strings are hostile: no batch may be refused for it.
func FuzzStringsAreUTF8(f *testing.F) {
	for _, bytes := range hostileBytes {
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes string) {
		p := hostileProcess(t, bytes)
		spans, err := new(ptrace.ProtoMarshaler).MarshalTraces(tracesOf(p, StateSpans))
		strict(t, spans, err, &tracepb.TracesData{})
		events, err := new(ptrace.ProtoMarshaler).MarshalTraces(tracesOf(p, StateEvents))
		strict(t, events, err, &tracepb.TracesData{})
		logs, err := new(plog.ProtoMarshaler).MarshalLogs(logsOf(p))
		strict(t, logs, err, &logspb.LogsData{})
		metrics, err := new(pmetric.ProtoMarshaler).MarshalMetrics(metricsOf(p))
		strict(t, metrics, err, &metricspb.MetricsData{})
	})
}

func hostileProcess(t *testing.T, bytes string) *Process {
	t.Helper()
	config := metadata.DefaultResourceAttributesConfig()
	config.ProcessCommandLine.Enabled = true
	described := NewResource(metadata.NewResourceBuilder(config),
		processes.Process{PID: 1, Executable: "/bin/" + bytes}, &goexe.Binary{MainPath: bytes, MainVersion: bytes, GoVersion: bytes, Revision: bytes})
	described.Attributes().PutStr("service.name", bytes) // as its environment may say
	return NewProcess(Identity{PID: 1}, described, Program{Symbols: hostile(bytes), WaitReasons: []string{"", bytes}, FullStacks: true}, 0)
}

func tracesOf(p *Process, states States) ptrace.Traces {
	spans := NewSpans(scope, testClock(), SpanOptions{States: states, Noise: NoiseFold})
	g := child()
	g.CreationPC, g.StartPC, g.Creator = 1, 2, &lifecycle.Stack{PCs: []uint64{1, 3}}
	g.Intervals[1].Stack = &lifecycle.Stack{PCs: []uint64{3, 4}}
	spans.Add(p, g)
	return spans.Take()
}

func logsOf(p *Process) plog.Logs {
	logs := NewLogs(scope, testClock())
	logs.Add(p, child(), &lifecycle.Event{From: lifecycle.Running, To: lifecycle.Waiting, ToReason: 1})
	logs.AddLevelChange(p, LevelChange{From: "full", To: "slices"})
	site := waitstats.Site{CreationPC: 1, Reason: 1}
	logs.AddChanges(p, waitstats.Changes{Began: []waitstats.Blocked{{Site: site, Count: 2}}, Cleared: []waitstats.Site{site}}, Creators{site: {{PCs: []uint64{1, 3}}: 1}}, 5)
	return logs.Take()
}

func metricsOf(p *Process) pmetric.Metrics {
	config := metadata.NewDefaultMetricsBuilderConfig()
	config.Metrics.GoGoroutineCreated.EnabledAttributes = []metadata.GoGoroutineCreatedMetricAttributeKey{
		metadata.GoGoroutineCreatedMetricAttributeKeyCodeFunctionName,
	}
	config.Metrics.GoGoroutineCount.EnabledAttributes = []metadata.GoGoroutineCountMetricAttributeKey{
		metadata.GoGoroutineCountMetricAttributeKeyGoGoroutineWaitReason,
	}
	m := NewMetrics(scope, testClock(), MetricsOptions{
		Builder:    metadata.NewMetricsBuilder(config, receivertest.NewNopSettings(metadata.Type)),
		Histograms: DefaultHistogramsConfig(), Functions: Functions{Created: true, Top: 5}, TopBlocked: 5,
	})
	f := ProcessStats{
		Process: p, Overhead: &Overhead{Level: "full"},
		Totals: lifecycle.Totals{
			Functions: map[uint64]lifecycle.Lives{1: {Created: 1}},
			Histograms: map[lifecycle.HistogramKey]*lifecycle.Histogram{
				{Kind: lifecycle.Wait, Reason: 1}: {Count: 1, Sum: 5, Buckets: map[int]uint64{3: 1}},
			},
		},
		Waiting: map[uint8]int64{1: 2}, Blocked: map[waitstats.Site]int64{{CreationPC: 1, Reason: 1}: 2},
	}
	f.Counts.Created, f.Counts.Live[lifecycle.Waiting] = 1, 2
	return m.Make([]ProcessStats{f})
}

func TestValidTextStays(t *testing.T) {
	for _, s := range []string{"", "main.(*Größe[…]).日本", "\x00"} {
		assert.Equal(t, s, valid(s))
	}
	assert.Equal(t, "M\uFFFDller", valid("M\xfcller"))
}

// TestLongAttributes has a process that tells megabytes of itself: a backend would refuse the batch, with what it holds of others.
func TestLongAttributes(t *testing.T) {
	for _, of := range []string{"a", "ü", "€"} {
		r := pcommon.NewResource()
		r.Attributes().PutStr("process.command_line", "x"+strings.Repeat(of, 6<<20))
		validResource(r)
		got, _ := r.Attributes().Get("process.command_line")
		assert.LessOrEqual(t, len(got.Str()), maxAttribute)
		assert.Greater(t, len(got.Str()), maxAttribute-len(of)-1)
		assert.True(t, strings.HasPrefix(got.Str(), "x"+of))
		assert.True(t, utf8.ValidString(got.Str()))
	}
}
