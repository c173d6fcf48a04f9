//go:build linux

package session

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginefake"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
)

// TestSegmentsWaitForTheSink has goroutines that live on for long while nothing is taken: what waits does not grow.
func TestSegmentsWaitForTheSink(t *testing.T) {
	in(t, func(o *Options) { o.Limits.Segment = time.Second }, func(t *testing.T, w *world) {
		const goroutines = 100
		for goid := range uint64(goroutines) {
			w.host.living = append(w.host.living, snapshot.Goroutine{G: (goid + 1) << 8, GoID: goid + 1, State: lifecycle.Waiting})
		}
		w.start()
		w.sink.setBusy(true)
		for range 60 {
			w.pass(time.Second)
		}
		waiting := 0
		require.True(t, w.ask(t.Context(), func(l *loop) { waiting = len(l.ended) }))
		require.LessOrEqual(t, waiting, goroutines)
		w.sink.setBusy(false)
		for range 10 {
			w.pass(time.Second)
		}
		require.Len(t, w.sink.endings(), goroutines)
	})
}

// TestHealthWhileAProcessEnds asks for the sums over all processes while the last figures of one are being read: they do not go back.
func TestHealthWhileAProcessEnds(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.start().Count(lifecycle.Counts{Created: 5})
		reading := make(chan struct{})
		w.engine.Script("Process.Distributions", enginefake.Step{Wait: reading})
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		w.settle()
		processes, during := w.Health()
		close(reading)
		w.settle()
		_, after := w.Health()
		require.Zero(t, processes)
		require.EqualValues(t, 5, during.Created)
		require.EqualValues(t, 5, after.Created)
	})
}

// TestOneRepairAtATime has changes be missed again and again of a process that takes long to be looked at.
func TestOneRepairAtATime(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		p := w.start()
		waits := make(chan struct{})
		w.engine.Script("Repair", enginefake.Step{Wait: waits})
		for range 5 {
			p.Count(lifecycle.Counts{Resynchronized: 1})
			w.pass(upkeepInterval)
		}
		began := w.engine.Calls("Repair")
		close(waits)
		require.Equal(t, 1, began)
		w.pass(2 * upkeepInterval)
		require.Equal(t, 2, w.engine.Calls("Repair"), "what was missed meanwhile stays wrong")
	})
}

// TestNoProcessLeft has the last given process of a program end between two windows: what runs the same file is left alone.
func TestNoProcessLeft(t *testing.T) {
	given := func(o *Options) { budgeted(o); o.Newcomers = false }
	in(t, given, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		w.overspend(w.start())
		attached := w.engine.Calls("Attach")
		w.registry.exit(pid)
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		for range 60 {
			w.pass(time.Second)
		}
		require.Equal(t, attached, w.engine.Calls("Attach"))
	})
}

// TestDetachedWhileInspecting takes an attachment away while a second process is about to be included in it: that is followed later.
func TestDetachedWhileInspecting(t *testing.T) {
	given := func(o *Options) { budgeted(o); o.Newcomers = false }
	in(t, given, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		p := w.start()
		waits := make(chan struct{})
		w.engine.Script("Include", enginefake.Step{Wait: waits, Err: os.ErrClosed})
		other := server
		other.PID++
		w.registry.run(other)
		w.pass(longestScanInterval)
		require.Equal(t, 2, w.engine.Calls("Include"))
		w.overspend(p)
		close(waits)
		w.settle()
		require.NoError(t, w.registry.refusal(other.PID))
		for range 100 {
			w.pass(time.Second)
		}
		require.NotNil(t, w.engine.Process(other.PID))
	})
}

// TestNewcomerTwice has the engine follow a process by itself again, with the event lost that it has executed a program in between.
func TestNewcomerTwice(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.start()
		child := server
		child.PID++
		waits := make(chan struct{})
		w.registry.waiting[child.PID] = waits
		w.registry.run(child)
		w.engine.Arrive(child.PID)
		early := create(2)
		early.PID = child.PID
		w.engine.Emit(early)
		w.settle()
		w.engine.Arrive(child.PID)
		w.settle()
		require.Equal(t, 1, w.engine.Calls("Release"), "the first place is not given back")
		close(waits)
		w.settle()
		kept := 0
		require.True(t, w.ask(t.Context(), func(l *loop) { kept = l.early }))
		require.Zero(t, kept, "room for events is lost")
	})
}

// TestFollowedAsAnother attaches again while the engine still lets go of what it followed the process as: a scan brings another attempt.
func TestFollowedAsAnother(t *testing.T) {
	in(t, budgeted, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		w.overspend(w.start())
		w.engine.Script("Follow", enginefake.Step{Err: engine.ErrFollowed})
		for w.engine.Attached() == 0 {
			w.pass(100 * time.Millisecond)
		}
		for range 10 {
			w.pass(longestScanInterval)
			if w.engine.Process(pid) != nil {
				return
			}
		}
		t.Fatal("the process is not followed any more, though the probes are attached")
	})
}
