//go:build linux

package telemetry

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// jaegerTimes returns when a span begins and ends in Jaeger, which rounds its start and its duration down to µs.
func jaegerTimes(s ptrace.Span) (start, end int64) {
	start = int64(s.StartTimestamp()) / 1000
	return start, start + int64(s.EndTimestamp()-s.StartTimestamp())/1000
}

// busy returns a goroutine that changes its state as often as between every few ns and every few ms.
func busy(random *rand.Rand, states int) *lifecycle.Goroutine {
	g := &lifecycle.Goroutine{GoID: 1, Tree: lifecycle.Tree{Root: 1}, Start: random.Int64N(1_000_000)}
	g.End = g.Start
	for i := range states {
		from := g.End
		g.End += 1 + random.Int64N(10<<random.IntN(20))
		state := lifecycle.Runnable + lifecycle.State(i%int(lifecycle.States-1))
		g.Intervals = append(g.Intervals, lifecycle.Interval{Start: from, End: g.End, State: state})
		g.Totals[state].Count++
		g.Totals[state].Nanoseconds += uint64(g.End - from)
	}
	return g
}

// TestPicture draws states as Jaeger does. Each ends before the next begins, none is too short to be seen, all are inside the goroutine's
// span, and what is not drawn is counted.
func TestPicture(t *testing.T) {
	const states = 1000
	random := rand.New(rand.NewPCG(1, 2))
	g := busy(random, states)
	spans := addAs(SpanOptions{States: StateSpans, Noise: NoiseFold}, g)
	from, to := jaegerTimes(spans[0])
	shown := time.Duration(0)
	before := from - 1
	for _, s := range spans[1:] {
		start, end := jaegerTimes(s)
		assert.Greater(t, start, before)
		assert.Greater(t, end, start)
		shown += time.Duration(end-start) * time.Microsecond
		before = end
	}
	assert.LessOrEqual(t, before, to)
	folded, _ := spans[0].Attributes().Get("go.goroutine.folded.count")
	seconds, _ := spans[0].Attributes().Get("go.goroutine.folded.duration")
	require.Greater(t, folded.Int(), int64(states/10))
	assert.EqualValues(t, states, folded.Int()+int64(len(spans)-1))
	// Of each that is drawn, rounding takes 3 µs at the most.
	missing := time.Duration(g.End-g.Start) - shown - time.Duration(seconds.Double()*float64(time.Second))
	assert.Positive(t, missing)
	assert.Less(t, missing, time.Duration(len(spans))*3*time.Microsecond)
}

// TestLinkedIsSeen has an interval that is too short to be seen, and to which a link leads.
func TestLinkedIsSeen(t *testing.T) {
	for linked, want := range map[bool]int{false: 1, true: 2} {
		g := &lifecycle.Goroutine{GoID: 1, Tree: lifecycle.Tree{Root: 1}, Start: 100, End: 900}
		g.Intervals = []lifecycle.Interval{{Start: 300, End: 800, State: lifecycle.Running, Linked: linked}}
		spans := addAs(SpanOptions{States: StateSpans, Noise: NoiseFold}, g)
		require.Len(t, spans, want)
		for _, s := range spans[1:] {
			assert.Greater(t, s.EndTimestamp(), s.StartTimestamp())
			assert.GreaterOrEqual(t, s.StartTimestamp(), spans[0].StartTimestamp())
			assert.LessOrEqual(t, s.EndTimestamp(), spans[0].EndTimestamp())
		}
	}
}

// TestKeepShowsAll has a span of each state, if nothing is to be folded.
func TestKeepShowsAll(t *testing.T) {
	const states = 1000
	spans := addAs(SpanOptions{States: StateSpans, Noise: NoiseKeep}, busy(rand.New(rand.NewPCG(3, 4)), states))
	require.Len(t, spans, 1+states)
	for _, s := range spans {
		assert.GreaterOrEqual(t, s.EndTimestamp(), s.StartTimestamp())
	}
	_, folded := spans[0].Attributes().Get("go.goroutine.folded.count")
	assert.False(t, folded)
}

// TestChildrenAreInsideTheirParents rounds lives that lie closely in each other.
func TestChildrenAreInsideTheirParents(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		at := random.Int64N(1_000_000)
		outer := lifecycle.Goroutine{GoID: 1, Tree: lifecycle.Tree{Root: 1}, Start: at, End: at + random.Int64N(5000)}
		inner := lifecycle.Goroutine{GoID: 2, Tree: lifecycle.Tree{Root: 1}, Parent: lifecycle.Ref{GoID: 1, Tree: lifecycle.Tree{Root: 1}}}
		inner.Start = outer.Start + random.Int64N(outer.End-outer.Start+1)
		inner.End = inner.Start + random.Int64N(outer.End-inner.Start+1)
		spans := addAs(SpanOptions{}, &outer, &inner)
		from, to := jaegerTimes(spans[0])
		start, end := jaegerTimes(spans[1])
		assert.GreaterOrEqual(t, start, from)
		assert.LessOrEqual(t, end, to)
		assert.Greater(t, end, start)
	}
}
