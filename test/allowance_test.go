//go:build linux

package test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestSpansPerSecond lets a program create goroutines much faster than spans may be made. Whole trees are left out, and metrics know all.
func TestSpansPerSecond(t *testing.T) {
	const created = 100_000
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "spawn", testbuild.Options{})
	b := e2etest.NewBackend(t)
	// The program is there first: then what it creates begins trees of its own.
	p := testbuild.Start(t, exe, strconv.Itoa(created))
	p.Line()
	limited := e2etest.Following(exe)
	limited.Traces.MaxSpansPerSecond = 100
	c := e2etest.StartCollector(t, e2etest.Exporting(limited, b.Endpoint()))
	c.Await("Following process")
	p.GoOn()
	if line := p.Line(); line != "done" {
		t.Fatalf("the program said %q", line)
	}
	e2etest.Eventually(t, "all goroutines to be counted", func() bool { return b.Sum("go.goroutine.exited") == created },
		func() string { return fmt.Sprintf("%d are\n%s", b.Sum("go.goroutine.exited"), c.Out) })
	c.Await("More spans than traces::max_spans_per_second")
	c.Stop()
	told := 0
	for _, spans := range e2etest.GoroutineSpans(b.Spans()) {
		if e2etest.StartFunction(spans[0]) != "main.work" {
			continue
		}
		told++
		if ending, _ := spans[0].Attributes().Get("go.goroutine.ending"); len(spans) != 1 || ending.Str() != "exit" || spans[0].ParentSpanID() != [8]byte{} {
			t.Errorf("a goroutine has %d spans, ends with %q and is not the root of its tree", len(spans), ending.Str())
		}
	}
	t.Logf("%d of %d goroutines became spans", told, created)
	if told == 0 || told > created/2 {
		t.Errorf("%d of %d goroutines became spans", told, created)
	}
}
