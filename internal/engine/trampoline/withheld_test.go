//go:build linux && amd64

package trampoline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// follows begins to follow a new process of a program of testdata, until the end of the test.
func follows(t *testing.T, e *Engine, name string, args ...string) (*testbuild.Running, engine.Process) {
	t.Helper()
	exe := testbuild.Program(t, name, testbuild.Options{})
	b, err := goexe.Open(exe)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	a, err := e.Attach(b, exe, engine.AttachOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.Close()) })
	running := testbuild.Start(t, exe, args...)
	require.Equal(t, "ready", running.Line())
	p, err := a.Follow(running.PID(), 0, engine.Settings{SamplingRatio: 1, RootAge: time.Hour})
	require.NoError(t, err)
	return running, p
}

func countsOf(t *testing.T, p engine.Process) lifecycle.Counts {
	t.Helper()
	n, err := p.Counts()
	require.NoError(t, err)
	return n
}

// TestWithheldMemory follows a process that keeps whoever reads its goroutines' labels waiting for ever. Its records count nevertheless, another
// process's labels are read, and the process can be left.
func TestWithheldMemory(t *testing.T) {
	testbuild.RequireRoot(t)
	log, logged := observer.New(zap.WarnLevel)
	e, err := New(Options{Options: engine.Options{
		MaxGoroutines: 4096, MaxGoroutinesPerProcess: 2048, BufferSize: 1 << 20, Logger: zap.New(log),
		Labels: engine.LabelNames{TraceID: []string{"trace_id"}, SpanID: []string{"span_id"}},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	hostile, withholds := follows(t, e, "withheld", "labels")
	other, answers := follows(t, e, "family", "3", "10")
	const silent, carriers = 200, 3 + 30
	hostile.GoOn()
	require.Equal(t, "done", hostile.Line())
	require.Eventually(t, func() bool { return countsOf(t, withholds).Exited >= silent }, time.Minute, time.Millisecond)
	assert.GreaterOrEqual(t, countsOf(t, withholds).LabelsMissed, uint64(silent/2))
	other.GoOn()
	require.Equal(t, "waiting", other.Line())
	for labelled := 0; labelled < carriers; {
		var event lifecycle.Event
		got, err := e.Next(&event, time.Now().Add(time.Minute))
		require.NoError(t, err)
		require.True(t, got, "of %d goroutines there are labels", labelled)
		if event.PID == other.PID() && event.Kind == lifecycle.Labelled {
			labelled++
		}
	}
	other.GoOn()
	require.Equal(t, "done", other.Line())
	require.Eventually(t, func() bool { return countsOf(t, answers).Exited >= carriers }, time.Minute, time.Millisecond)
	assert.Zero(t, countsOf(t, answers).LabelsMissed)
	require.Eventually(t, func() bool { return logged.Len() > 0 }, time.Minute, time.Millisecond)
	require.NoError(t, withholds.Unfollow())
	assert.Equal(t, 1, logged.Len(), logged.All())
	hostile.GoOn()
	require.Equal(t, "done", hostile.Line(), "it goes on without trampolines")
}

// TestAllowance bounds for how long a process keeps the reader waiting, at once and over time.
func TestAllowance(t *testing.T) {
	var a allowance
	now := time.Unix(1, 0)
	var waited time.Duration
	for range 1000 {
		most := a.at(now)
		require.LessOrEqual(t, most, oneRead)
		if most > 0 {
			a.spend(most)
			waited += most
			now = now.Add(most)
		}
		now = now.Add(time.Millisecond)
	}
	passed := now.Sub(time.Unix(1, 0))
	assert.LessOrEqual(t, waited, savedUp+passed/waitingShare+oneRead)
	assert.Greater(t, waited, passed/waitingShare/2)
}
