//go:build linux

package processes

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
