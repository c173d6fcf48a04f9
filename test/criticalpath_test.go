//go:build linux

package test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestCriticalPath asks a server for what takes long for a known reason: the critical path that Jaeger's UI draws must go through the state
// that the request waited for, whether short states are folded, or each state follows the one before without a gap. In the latter case, Jaeger
// does not leave the goroutine that waited if whom it waited for still runs when it has become runnable, as those overlap: then the path goes
// through the wait for the worker, or through what the worker waited for, as the microseconds fall.
func TestCriticalPath(t *testing.T) {
	const requests = 20
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "server", testbuild.Options{})
	handlers := map[string]string{"/slow": "main.slow", "/fanout": request}
	for shortest, waits := range map[string]map[string][]string{
		"100µs": {"/slow": {"sleep in main.slow"}, "/fanout": {sleep}},
		"0s":    {"/slow": {"sleep in main.slow"}, "/fanout": {sleep, "chan receive in main.fanOut"}},
	} {
		for path, want := range waits {
			t.Run(shortest+path, func(t *testing.T) {
				j := startJaeger(t)
				config := exampleConfig(t, exe, j.otlp)
				config.Receivers["goroutine"].(map[string]any)["traces"] = map[string]any{"min_state_duration": shortest}
				c := e2etest.StartCollector(t, config)
				p := testbuild.Start(t, exe)
				address := p.Line()
				c.Await("Following process")
				e2etest.Load(t, "http://"+address+path, requests)
				var found [][]jaegerSpan
				e2etest.Eventually(t, "Jaeger to have the traces of all requests", func() bool {
					found = j.traces(t, "server", handlers[path])
					return len(found) == requests
				}, func() string { return fmt.Sprintf("it has %d\n%s", len(found), c.Out) })
				on, wanted := map[string]int64{}, int64(0)
				for _, trace := range found {
					for name, us := range criticalPath(trace) {
						on[name] += us
					}
				}
				for _, name := range want {
					wanted += on[name]
				}
				for name, us := range on {
					onThread := name == "running" || strings.HasPrefix(name, "runnable") // as the machine has time
					if !slices.Contains(want, name) && !onThread && us >= wanted {
						t.Errorf("%d µs of the critical path are on %q, but %d on %q: %v", us, name, wanted, want, on)
					}
				}
			})
		}
	}
}

// pathSpan is a span of a trace, cut to the time in which its parent lasts.
type pathSpan struct {
	name       string
	start, end int64 // µs
	parent     *pathSpan
	children   []*pathSpan // the last to end comes first
}

// treeOf returns the root of a trace. As Jaeger's UI does, it leaves out spans that are beside their parents in time.
func treeOf(trace []jaegerSpan) *pathSpan {
	byID, children := map[string]jaegerSpan{}, map[string][]jaegerSpan{}
	var root jaegerSpan
	for _, s := range trace {
		byID[s.SpanID] = s
	}
	for _, s := range trace {
		if _, ok := byID[s.parent()]; ok {
			children[s.parent()] = append(children[s.parent()], s)
		} else {
			root = s
		}
	}
	var grow func(s jaegerSpan, parent *pathSpan) *pathSpan
	grow = func(s jaegerSpan, parent *pathSpan) *pathSpan {
		of := &pathSpan{name: s.OperationName, start: s.StartTime, end: s.end(), parent: parent}
		if parent != nil {
			of.start, of.end = max(of.start, parent.start), min(of.end, parent.end)
			if s.StartTime >= parent.end || s.end() <= parent.start {
				return nil
			}
		}
		for _, child := range children[s.SpanID] {
			if c := grow(child, of); c != nil {
				of.children = append(of.children, c)
			}
		}
		slices.SortStableFunc(of.children, func(a, b *pathSpan) int { return cmp.Compare(b.end, a.end) })
		return of
	}
	return grow(root, nil)
}

// criticalPath returns how many µs of a trace's critical path are on spans of each name, by the rules of Jaeger's UI (TracePage/CriticalPath):
// from its end, a span's path goes to the child that ended last; from the start of a child it goes on in the parent with the child that ended
// last before that.
func criticalPath(trace []jaegerSpan) map[string]int64 {
	on := map[string]int64{}
	s, until := treeOf(trace), int64(0)
	for s != nil {
		next := slices.IndexFunc(s.children, func(c *pathSpan) bool { return until == 0 || c.end < until })
		from := s.start
		if next >= 0 {
			from = s.children[next].end
		}
		on[s.name] += cmp.Or(until, s.end) - from
		if next >= 0 {
			s, until = s.children[next], 0
		} else {
			s, until = s.parent, s.start
		}
	}
	return on
}
