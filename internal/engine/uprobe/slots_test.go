//go:build linux

package uprobe

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// TestSlots uses all, and gives them out again in the ways that are safe.
func TestSlots(t *testing.T) {
	s := newSlots("processes", 2)
	take := func(want uint32) {
		t.Helper()
		got, err := s.take()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	full := func() {
		t.Helper()
		_, err := s.take()
		require.ErrorIs(t, err, engine.ErrTooMany)
	}
	var steps []string
	wait := func() error { steps = append(steps, "wait"); full(); return nil }
	clear := func(slots []uint32) error {
		steps = append(steps, "clear")
		require.Equal(t, []uint32{1}, slots)
		full() // not before what is known in it is forgotten
		return nil
	}
	take(0)
	take(1)
	full()
	s.putBack(0) // no program has seen it
	take(0)
	s.retire(1)
	full()
	failure := errors.New("the kernel says no")
	require.ErrorIs(t, s.reclaim(func() error { return failure }, clear), failure)
	full()
	require.ErrorIs(t, s.reclaim(wait, func([]uint32) error { return failure }), failure)
	full()
	steps = nil
	require.NoError(t, s.reclaim(wait, clear))
	require.Equal(t, []string{"wait", "clear"}, steps)
	take(1)
	require.NoError(t, s.reclaim(wait, clear)) // nothing is retired: nothing is waited for
	require.Len(t, steps, 2)
}
