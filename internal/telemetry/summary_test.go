//go:build linux

package telemetry

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// spending returns a goroutine that lived for a second, and spent it as is told; what is not shown of a wait is one for reason 1.
func spending(totals [lifecycle.States]lifecycle.Total, shown []lifecycle.Interval, unshown uint64) *lifecycle.Goroutine {
	g := &lifecycle.Goroutine{GoID: 1, Tree: lifecycle.Tree{Root: 1}, End: 1_000_000_000, Totals: totals, Intervals: shown}
	if unshown > 0 {
		g.Unshown = []lifecycle.WaitTotal{{Reason: 1, Total: lifecycle.Total{Count: 1, Nanoseconds: unshown}}}
	}
	return g
}

func TestDominantState(t *testing.T) {
	const ms = 1_000_000
	wait := lifecycle.Interval{Start: 0, End: 300 * ms, State: lifecycle.Waiting, Reason: 1}
	joined := lifecycle.Interval{Start: 300 * ms, End: 900 * ms, State: lifecycle.Waiting, Reason: 1, Joined: 9, Between: 250 * ms}
	for _, test := range []struct {
		name                       string
		running, runnable, waiting uint64 // ms
		shown                      []lifecycle.Interval
		unshown                    uint64
		want                       string
		share                      float64
	}{
		{"a wait at one place in several parts", 350, 0, 650, []lifecycle.Interval{wait, joined}, 0, "chan receive", 0.65},
		{"all that ran is folded", 700, 0, 300, []lifecycle.Interval{wait}, 0, "running", 0.7},
		{"it waits for a CPU", 300, 400, 300, []lifecycle.Interval{wait}, 0, "runnable (waits for a CPU)", 0.4},
		{"where it waits is folded", 100, 0, 900, []lifecycle.Interval{wait}, 600 * ms, "waiting", 0.6},
	} {
		t.Run(test.name, func(t *testing.T) {
			var totals [lifecycle.States]lifecycle.Total
			totals[lifecycle.Running].Nanoseconds = test.running * ms
			totals[lifecycle.Runnable].Nanoseconds = test.runnable * ms
			totals[lifecycle.Waiting].Nanoseconds = test.waiting * ms
			got := attributes(add(StateSpans, spending(totals, test.shown, test.unshown))[0].Attributes())
			assert.Equal(t, test.want, got["go.goroutine.dominant.state"])
			assert.InDelta(t, test.share, got["go.goroutine.dominant.share"], 0)
			assert.InDelta(t, float64(test.waiting)/1000, got["go.goroutine.wait.duration.chan_receive"], 1e-9)
		})
	}
}

func TestSnake(t *testing.T) {
	for reason, want := range map[string]string{
		"chan receive": "chan_receive", "sync.Mutex.Lock": "sync_mutex_lock", "select (no cases)": "select_no_cases", "IO wait": "io_wait",
	} {
		assert.Equal(t, want, snake(reason))
	}
}

// TestLinksSayWhatTheyAre has a segment of an episode that the program's own span names, of a goroutine that another woke.
func TestLinksSayWhatTheyAre(t *testing.T) {
	ref := func(goid uint64) lifecycle.Ref {
		return lifecycle.Ref{GoID: goid, StartPC: 1, Tree: lifecycle.Tree{Root: goid}}
	}
	p := hostileProcess(t, "worker")
	link := func(g lifecycle.Goroutine) (kinds []string) {
		g.GoID, g.Tree.Root, g.StartPC, g.End = 9, 9, 1, 1_000_000
		s := NewSpans(scope, testClock(), SpanOptions{States: StateSpans})
		s.Add(p, &g)
		for _, span := range s.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			kinds = append(kinds, kindsOf(t, span)...)
		}
		return kinds
	}
	assert.Equal(t, []string{"creator"}, link(lifecycle.Goroutine{Parent: ref(1), Follows: true}))
	assert.Equal(t, []string{"life", "waker"}, link(lifecycle.Goroutine{Parent: ref(1), Follows: true, Life: ref(9), Cause: lifecycle.Unknown}))
	assert.Equal(t, []string{"previous"}, link(lifecycle.Goroutine{Segment: 1, Continues: true, Previous: ref(9)}))
	assert.Equal(t, []string{"work"}, link(lifecycle.Goroutine{Contexts: []lifecycle.SpanContext{{TraceID: [16]byte{1}, SpanID: [8]byte{1}}}}))
	assert.Equal(t, []string{"waker"}, link(lifecycle.Goroutine{Intervals: []lifecycle.Interval{{End: 1_000_000, State: lifecycle.Waiting, Waker: ref(2)}}}))
}

// kindsOf returns what a span's links are. Those to goroutines name their functions.
func kindsOf(t *testing.T, s ptrace.Span) (kinds []string) {
	t.Helper()
	for _, link := range s.Links().All() {
		a := attributes(link.Attributes())
		kind, _ := a["go.goroutine.link"].(string)
		kinds = append(kinds, kind)
		if named := a["code.function.name"] == "main.worker"; named != (kind != "work") {
			t.Errorf("a link has %v", a)
		}
	}
	return kinds
}
