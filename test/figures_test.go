//go:build linux

package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/otlptest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestFigures compares counts by start function with the target's own trace, and exemplars with the spans that they name.
func TestFigures(t *testing.T) {
	testbuild.RequireRoot(t)
	b := newBackend(t)
	exe := testbuild.Program(t, "lifecycle", testbuild.Options{})
	const byFunction = "    start_functions: {top: 1000}\n" +
		"    metrics: {go.goroutine.created: {attributes: [code.function.name]}, go.goroutine.exited: {attributes: [code.function.name]}}\n"
	c := startCollector(t, fmt.Sprintf(receiverOf, exe)+byFunction+fmt.Sprintf(exporterTo, b.Endpoint()))
	file := filepath.Join(t.TempDir(), "trace")
	p := testbuild.Start(t, exe, file)
	countAgrees(t, b, c, p)
	p.GoOn()
	countAgrees(t, b, c, p)
	p.GoOn()
	p.Wait()
	c.stop()

	want := map[string]int64{}
	for _, g := range readTrace(t, file) {
		want[g.start]++
	}
	for _, metric := range []string{"go.goroutine.created", "go.goroutine.exited"} {
		got := byFunctionOf(b.Metric(metric))
		compared := 0
		for function, n := range want {
			if !strings.HasPrefix(function, "main.") {
				continue
			}
			if compared++; got[function] != n {
				t.Errorf("%s of %s is %d, want %d", metric, function, got[function], n)
			}
		}
		if compared < 20 {
			t.Errorf("only %d functions were compared", compared)
		}
	}
	for _, histogram := range []string{
		"go.schedule.duration", "go.goroutine.run.duration", "go.goroutine.wait.duration", "go.goroutine.syscall.duration", "go.goroutine.lifetime",
	} {
		exemplarsAreRight(t, b, histogram)
	}
}

func byFunctionOf(metrics []pmetric.Metric) map[string]int64 {
	n := map[string]int64{}
	for _, m := range metrics {
		for _, p := range m.Sum().DataPoints().All() {
			function, _ := p.Attributes().Get("code.function.name")
			n[function.Str()] += p.IntValue()
		}
	}
	return n
}

// exemplarsAreRight checks that each exemplar names a goroutine's span, in which there was time for it.
func exemplarsAreRight(t *testing.T, b *otlptest.Backend, histogram string) {
	t.Helper()
	spans := map[string]ptrace.Span{}
	for _, s := range b.Spans() {
		if _, ok := s.Attributes().Get("go.goroutine.id"); ok {
			spans[s.TraceID().String()+s.SpanID().String()] = s
		}
	}
	checked := 0
	for _, m := range b.Exports(histogram) {
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			for _, x := range p.Exemplars().All() {
				s, ok := spans[x.TraceID().String()+x.SpanID().String()]
				if !ok {
					t.Errorf("an exemplar of %s names no span", histogram)
					continue
				}
				checked++
				id, _ := s.Attributes().Get("go.goroutine.id")
				of, _ := x.FilteredAttributes().Get("go.goroutine.id")
				lived := s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime()).Seconds()
				outside := x.Timestamp() < s.StartTimestamp() || x.Timestamp() > s.EndTimestamp()
				if id.Int() != of.Int() || outside || x.DoubleValue() <= 0 || x.DoubleValue() > lived {
					t.Errorf("an exemplar of %s, %v s of goroutine %d, names %s, %v s of goroutine %d", histogram, x.DoubleValue(), of.Int(), s.Name(), lived, id.Int())
				}
			}
		}
	}
	if checked < 3 {
		t.Errorf("%s has only %d exemplars", histogram, checked)
	}
}
