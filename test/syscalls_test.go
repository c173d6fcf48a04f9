//go:build linux

package test

import (
	"path/filepath"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestWithoutSyscalls leaves out the probes that only see system calls: those count as running, but for the one in which the
// program was found, and nothing else is missed.
func TestWithoutSyscalls(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "lifecycle", testbuild.Options{Version: "go1.26.8"})
	b := e2etest.NewBackend(t)
	receiver := e2etest.Following(exe)
	receiver.Syscalls = new(false)
	c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint()))
	p := testbuild.Start(t, exe, filepath.Join(t.TempDir(), "trace"))
	e2etest.AwaitCount(t, b, c, p)
	p.GoOn()
	e2etest.AwaitCount(t, b, c, p)
	p.GoOn()
	if line := p.Line(); line != "done" {
		t.Fatalf("the program said %q", line)
	}
	p.Wait()
	c.Stop()
	seconds := map[string]float64{}
	for _, m := range b.Metric("go.goroutine.time") {
		for _, point := range m.Sum().DataPoints().All() {
			state, _ := point.Attributes().Get("go.goroutine.state")
			seconds[state.Str()] += point.DoubleValue()
		}
	}
	if seconds["running"] == 0 || seconds["syscall"] > seconds["running"] {
		t.Errorf("seconds in each state are %v", seconds)
	}
	spans := e2etest.GoroutineSpans(b.Spans())
	if len(spans) < 100 {
		t.Errorf("only %d goroutines have spans", len(spans))
	}
	for id, of := range spans {
		if lost, ok := of[0].Attributes().Get("go.goroutine.events.lost"); ok {
			t.Errorf("of goroutine %d (%s), %s changes were missed", id, of[0].Name(), lost.AsString())
		}
	}
	if c.Out.Has("put right") {
		t.Errorf("states had to be put right:\n%s", c.Out)
	}
}
