//go:build linux

package test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestOldestRelease compares what is seen of the same web server under load, built by the oldest release of Go that is followed and by a
// recent one.
func TestOldestRelease(t *testing.T) {
	testbuild.RequireRoot(t)
	const recent = "go1.26.8"
	oldest, want := signalsOf(t, testbuild.Versions[0]), signalsOf(t, recent)
	if !maps.Equal(want["transitions"], inevitable) {
		t.Errorf("built by %s, it was seen to change its state in the ways %v", recent, want["transitions"])
	}
	for what := range want {
		if !maps.Equal(oldest[what], want[what]) || len(want[what]) == 0 {
			t.Errorf("%s: %v if built by %s, %v if by %s", what, slices.Sorted(maps.Keys(oldest[what])), testbuild.Versions[0],
				slices.Sorted(maps.Keys(want[what])), recent)
		}
	}
}

type set map[string]bool

// inevitable are the changes of state without which no connection is served: whether a thread is taken away meanwhile depends on the load.
var inevitable = set{
	"dead -> runnable": true, "runnable -> running": true, "running -> waiting": true, "waiting -> runnable": true,
	"running -> syscall": true, "syscall -> running": true, "running -> dead": true,
}

// signalsOf serves requests with helloworld, built by a release, and returns which signals tell of it, and what they say.
func signalsOf(t *testing.T, release string) map[string]set {
	t.Helper()
	const requests = 200
	exe := testbuild.Program(t, "helloworld", testbuild.Options{Version: release})
	b := e2etest.NewBackend(t)
	c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(exe), b.Endpoint()))
	p := testbuild.Start(t, exe)
	address := p.Line()
	c.Await("Following process")
	e2etest.Load(t, "http://"+address, requests)
	e2etest.Eventually(t, "go.goroutine.created to count each connection", func() bool { return b.Sum("go.goroutine.created") >= requests }, c.Out.String)
	p.Stop()
	c.Stop()
	signals := map[string]set{"metrics": {}, "goroutines": {}, "states": {}, "transitions": {}, "log attributes": {}}
	for _, rm := range b.ResourceMetrics() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				signals["metrics"][m.Name()] = true
			}
		}
	}
	connections := 0
	for _, s := range b.Spans() {
		if _, isGoroutine := s.Attributes().Get("go.goroutine.id"); !isGoroutine {
			state, _ := s.Attributes().Get("go.goroutine.state")
			signals["states"][state.Str()] = true
			continue
		}
		function := e2etest.StartFunction(s)
		if !strings.HasPrefix(function, "runtime.") {
			signals["goroutines"][function] = true
		}
		if function == "net/http.(*conn).serve" && !e2etest.IsEpisode(s) {
			connections++
		}
	}
	if connections != requests {
		t.Errorf("%s: %d connections have a span, want %d", release, connections, requests)
	}
	addTransitions(t, b, p.PID(), signals)
	return signals
}

// addTransitions adds what the log records of changes of state tell.
func addTransitions(t *testing.T, b *e2etest.Backend, pid int, signals map[string]set) {
	t.Helper()
	for _, r := range b.Records("go.goroutine.state_change") {
		a := r.Attributes()
		for key := range a.All() {
			signals["log attributes"][key] = true
		}
		from, _ := a.Get("go.goroutine.state.from")
		to, _ := a.Get("go.goroutine.state.to")
		if change := from.Str() + " -> " + to.Str(); inevitable[change] {
			signals["transitions"][change] = true
		}
		process, _ := a.Get("process.pid")
		_, hasThread := a.Get("thread.id")
		_, hasGoroutine := a.Get("go.goroutine.id")
		if process.Int() != int64(pid) || !hasThread || !hasGoroutine {
			t.Fatalf("a record has %v", a.AsRaw())
		}
	}
}
