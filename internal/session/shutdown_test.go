//go:build linux

package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginefake"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// stopWhile stops the manager, lets something that waits for the channel go on only then, and returns when all is done.
func (w *world) stopWhile(waits chan struct{}) {
	w.t.Helper()
	go func() {
		time.Sleep(time.Second)
		close(waits)
	}()
	require.NoError(w.t, w.Stop(w.t.Context()))
}

// TestStopWhileAttaching stops while an executable is being attached, for the first time or again: what comes of it is taken away, and the
// file stays open for as long as it is needed.
func TestStopWhileAttaching(t *testing.T) {
	t.Run("for the first time", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			waits := make(chan struct{})
			w.engine.Script("Attach", enginefake.Step{Wait: waits})
			w.registry.run(server)
			w.Start()
			w.settle()
			w.stopWhile(waits)
		})
	})
	t.Run("again", func(t *testing.T) {
		in(t, budgeted, func(t *testing.T, w *world) {
			w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
			w.overspend(w.start())
			waits := make(chan struct{})
			w.engine.Script("Attach", enginefake.Step{Wait: waits})
			for w.engine.Calls("Attach") < 2 {
				w.pass(100 * time.Millisecond)
			}
			stopped := make(chan struct{})
			go func() {
				require.NoError(t, w.Stop(t.Context()))
				close(stopped)
			}()
			time.Sleep(time.Second)
			synctest.Wait()
			w.host.mu.Lock()
			opened := w.host.opened
			w.host.mu.Unlock()
			require.Equal(t, 1, opened, "the file is closed by which it is being attached")
			close(waits)
			<-stopped
		})
	})
}

// TestStopTellsOfUnreadEvents stops while there are more events than can be read by then.
func TestStopTellsOfUnreadEvents(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.start()
		stopped, slow := make(chan struct{}), make(chan struct{})
		w.engine.Script("Next", enginefake.Step{Wait: stopped})
		w.engine.Script("Next", make([]enginefake.Step, burst-1)...)
		w.engine.Script("Next", enginefake.Step{Wait: slow}) // the first of the bursts that Stop reads
		w.settle()
		w.engine.Emit(make([]lifecycle.Event, 3*burst)...)
		go func() {
			time.Sleep(time.Second)
			close(stopped)
			time.Sleep(2 * drainLimit)
			close(slow)
		}()
		require.NoError(t, w.Stop(t.Context()))
		require.Equal(t, 1, w.log.FilterMessageSnippet("missing from spans").Len())
	})
}

// TestStopReadsNoDistributions stops with nobody left to collect the last stats.
func TestStopReadsNoDistributions(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.start()
		require.NoError(t, w.Stop(t.Context()))
		require.Zero(t, w.engine.Calls("Process.Distributions"))
	})
}

// TestStopWhileDetaching stops while an executable is being detached: goroutines that are known are told of nevertheless.
func TestStopWhileDetaching(t *testing.T) {
	in(t, budgeted, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		p := w.start()
		w.engine.Emit(create(2))
		w.settle()
		waits := make(chan struct{})
		w.engine.Script("Attachment.Close", enginefake.Step{Wait: waits})
		for w.engine.Calls("Attachment.Close") == 0 {
			w.host.set(func(h *host) { h.cpu += 100 * time.Millisecond })
			p.Count(lifecycle.Counts{Transitions: 80_000})
			w.pass(100 * time.Millisecond)
		}
		w.stopWhile(waits)
		require.Equal(t, lifecycle.Unfollowed, w.sink.endings()[2])
		require.Nil(t, w.engine.Process(pid))
	})
}

// TestCollectGivesUp has nobody wait for what was to be collected by the time that it could be: the next collection has it.
func TestCollectGivesUp(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.start().Count(lifecycle.Counts{Created: 5})
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		w.registry.exit(pid)
		w.settle()
		busy := make(chan struct{})
		w.engine.Script("Next", enginefake.Step{Wait: busy})
		w.settle()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.Collect(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(busy)
		w.settle()
		last := w.collect()
		require.Len(t, last, 1)
		last[0].Taken()
		w.pass(2 * linger)
		require.Zero(t, w.engine.Attached())
	})
}
