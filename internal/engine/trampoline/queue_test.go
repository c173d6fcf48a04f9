//go:build linux

package trampoline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// TestQueueTellsAgain has a reader that never waits in the queue, as it waits for something else too: it is told each time that there is
// something to read anew.
func TestQueueTellsAgain(t *testing.T) {
	told := 0
	q := newQueue(1<<20, func() { told++ })
	for n := range 5 {
		q.begin()
		q.add(true).GoID = uint64(n)
		q.end()
		require.Equal(t, n+1, told)
		var e lifecycle.Event
		require.True(t, q.read(&e, time.Unix(1, 0)))
		require.EqualValues(t, n, e.GoID)
		require.False(t, q.read(&e, time.Unix(1, 0)))
	}
}
