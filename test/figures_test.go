//go:build linux

package test

import (
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestFigures compares counts by start function with the target's own trace, and exemplars with the spans that they name.
func TestFigures(t *testing.T) {
	testbuild.RequireRoot(t)
	b := e2etest.NewBackend(t)
	exe := testbuild.Program(t, "lifecycle", testbuild.Options{})
	receiver := e2etest.Following(exe)
	receiver.StartFunctions = e2etest.Settings{"top": 1000}
	byFunction := e2etest.Attributes{Names: []string{"code.function.name"}}
	receiver.Attributes = map[string]e2etest.Attributes{"go.goroutine.created": byFunction, "go.goroutine.exited": byFunction}
	c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint()))
	file := filepath.Join(t.TempDir(), "trace")
	p := testbuild.Start(t, exe, file)
	e2etest.AwaitCount(t, b, c, p)
	p.GoOn()
	e2etest.AwaitCount(t, b, c, p)
	p.GoOn()
	p.Wait()
	c.Stop()

	want := map[string]int64{}
	for _, g := range e2etest.RuntimeTrace(t, file) {
		want[g.Start]++
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
func exemplarsAreRight(t *testing.T, b *e2etest.Backend, histogram string) {
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
