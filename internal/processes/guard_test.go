//go:build linux

package processes

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestGuard gives a call up, makes no other before that has ended, and makes calls again then.
func TestGuard(t *testing.T) {
	var g Guard
	var calls atomic.Int32
	call := func() { calls.Add(1) }
	require.True(t, g.Do(time.Minute, call))
	assert.Zero(t, g.Silent())
	answer := make(chan struct{})
	require.False(t, g.Do(time.Millisecond, func() { <-answer }))
	require.False(t, g.Do(time.Minute, call))
	assert.EqualValues(t, 1, calls.Load())
	assert.Positive(t, g.Silent())
	close(answer)
	for !g.Do(time.Minute, call) {
		time.Sleep(time.Millisecond)
	}
	assert.EqualValues(t, 2, calls.Load())
	assert.Zero(t, g.Silent())
}

// TestGuardOfSystemCalls waits longer for a thread that wants a processor, but not for ever, and not for one that the kernel keeps waiting.
func TestGuardOfSystemCalls(t *testing.T) {
	const patience = 50 * time.Millisecond
	spin := func(d time.Duration) func() {
		return func() {
			for end := time.Now().Add(d); time.Now().Before(end); {
			}
		}
	}
	var busy Guard
	require.True(t, busy.DoSystemCalls(patience, spin(2*patience)))
	require.False(t, busy.DoSystemCalls(patience, spin(20*patience)))
	var g Guard
	began := time.Now()
	require.False(t, g.DoSystemCalls(time.Second, func() { _ = unix.Nanosleep(&unix.Timespec{Sec: 10}, nil) }))
	assert.Less(t, time.Since(began), extensions*time.Second)
}
