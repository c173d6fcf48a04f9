//go:build linux && amd64

package trampoline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// recordedBesides returns what the trampolines of a process record beside changes: how many slots of stacks, and whether labels.
func recordedBesides(p *Process) (slots, labels uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.source.memory.Word(ring.OffStackSlots), p.source.memory.Word(ring.OffWantLabels)
}

// TestWhatIsRecorded has trampolines record no more than changes unless events are made of these.
func TestWhatIsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		settings          engine.Settings
		summaries, paused bool
		slots, labels     uint64
	}{
		"events":                       {settings: all, slots: stackSlots, labels: 1},
		"events without stacks":        {settings: engine.Settings{SamplingRatio: 1}, labels: 1},
		"no tree is sampled":           {settings: engine.Settings{Stacks: true}},
		"reading takes too long":       {settings: all, summaries: true},
		"records cost the process too": {settings: all, paused: true},
	} {
		t.Run(name, func(t *testing.T) {
			m, memory := &newTested(t, c.settings).machine, openRings(t)
			m.labels, m.summaries, m.paused = &labelling{}, c.summaries, c.paused
			memory.SetStackSlots(1)
			memory.SetWantLabels(true)
			(&source{memory: memory, machine: m}).configure()
			assert.Equal(t, c.slots, memory.Word(ring.OffStackSlots))
			assert.Equal(t, c.labels, memory.Word(ring.OffWantLabels))
		})
	}
}

// TestPausedEvents pauses events of a process in the middle of a family's life, for one more, and no longer.
func TestPausedEvents(t *testing.T) {
	testbuild.RequireRoot(t)
	e, err := New(Options{Options: engine.Options{
		MaxGoroutines: 4096, MaxGoroutinesPerProcess: 2048, BufferSize: 1 << 20,
		Labels: engine.LabelNames{TraceID: []string{"trace_id"}, SpanID: []string{"span_id"}},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	exe := testbuild.Program(t, "family", testbuild.Options{})
	b, err := goexe.Open(exe)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	a, err := e.Attach(b, exe, engine.AttachOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.Close()) })
	const members = 1 + 3
	running := testbuild.Start(t, exe, "1", "3")
	require.Equal(t, "ready", running.Line())
	followed, err := a.Follow(running.PID(), 0, all)
	require.NoError(t, err)
	p := followed.(*Process)

	var events []lifecycle.Event // of the families, since the last step
	read := func() {
		events = nil
		for next := (lifecycle.Event{}); e.queue.poll(&next); {
			if !next.Preexisting && !next.System {
				events = append(events, next)
			}
		}
	}
	step := func(line string, until func(lifecycle.Counts) bool) {
		t.Helper()
		running.GoOn()
		require.Equal(t, line, running.Line())
		require.Eventually(t, func() bool { return until(countsOf(t, p)) }, time.Minute, time.Millisecond)
		read()
	}
	exited := func(n uint64) func(lifecycle.Counts) bool {
		return func(c lifecycle.Counts) bool { return c.Exited == n }
	}
	waits := func(c lifecycle.Counts) bool { return c.Live[lifecycle.Waiting] >= members }
	of := func(kind lifecycle.Kind) (found []lifecycle.Event) {
		for _, next := range events {
			if next.Kind == kind {
				found = append(found, next)
			}
		}
		return found
	}

	step("waiting", waits)
	require.Len(t, of(lifecycle.Created), members)
	full := a.HitCost()
	slots, labels := recordedBesides(p)
	require.EqualValues(t, stackSlots, slots)
	require.EqualValues(t, 1, labels)

	p.PauseEvents(true)
	read() // what was recorded before
	slots, labels = recordedBesides(p)
	assert.Zero(t, slots)
	assert.Zero(t, labels)
	assert.Less(t, a.HitCost().Most, full.Most, "stacks are no longer paid for")
	step("done", exited(members))
	require.Empty(t, of(lifecycle.Transition))
	require.Len(t, of(lifecycle.Exited), members)
	for _, exit := range of(lifecycle.Exited) {
		assert.Positive(t, exit.Lost, "what is missing is told")
	}
	step("waiting", waits)
	require.Empty(t, events)
	assert.Positive(t, countsOf(t, p).TreesWithheld)
	step("done", exited(2*members))
	require.Empty(t, events)

	p.PauseEvents(false)
	slots, _ = recordedBesides(p)
	assert.EqualValues(t, stackSlots, slots)
	assert.Equal(t, full, a.HitCost(), "what was recorded meanwhile says nothing of stacks")
	step("waiting", waits)
	require.Len(t, of(lifecycle.Created), members)
	step("done", exited(3*members))
	require.Len(t, of(lifecycle.Exited), members)
}
