//go:build linux

package test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

const limitedReceiver = `
receivers:
  goroutine:
    collection_interval: 500ms
    initial_delay: 0s
    targets: [{executable: %s}]
    overhead: {budget: 0}
    traces: {max_spans_per_second: 100}
`

// TestSpansPerSecond lets a program create goroutines much faster than spans may be made. Whole trees are left out, and metrics know all.
func TestSpansPerSecond(t *testing.T) {
	const created = 100_000
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "spawn", testbuild.Options{})
	b := newBackend(t)
	// The program is there first: then what it creates begins trees of its own.
	p := testbuild.Start(t, exe, strconv.Itoa(created))
	p.Line()
	c := startCollector(t, fmt.Sprintf(limitedReceiver, exe)+fmt.Sprintf(exporterTo, b.Endpoint()))
	c.await("Following process")
	p.GoOn()
	if line := p.Line(); line != "done" {
		t.Fatalf("the program said %q", line)
	}
	eventually(t, "all goroutines to be counted", func() bool { return b.Sum("go.goroutine.exited") == created },
		func() string { return fmt.Sprintf("%d are\n%s", b.Sum("go.goroutine.exited"), c.out) })
	c.await("More spans than traces::max_spans_per_second")
	c.stop()
	told := 0
	for _, spans := range goroutineSpans(b.Spans()) {
		if spans[0].Name() != "main.work" {
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
