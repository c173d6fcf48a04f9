//go:build linux

package processes

import (
	"sync/atomic"
	"time"
)

// Guard makes calls that a process can let wait for as long as it wants, as a read of its memory does where that is of a userfaultfd or of a file of
// a file system that does not answer. It bounds how long others wait with them: at most one call that was given up is left behind for each of those
// that use the Guard at once.
type Guard struct {
	// Go begins a call beside the caller; nil for a new goroutine.
	Go func(call func())

	left  atomic.Int32 // calls that were given up and have not ended
	since atomic.Int64 // when the first of them was, in ns since 1970
}

// Do makes a call beside the caller and waits for its end, but no longer than patience. It reports whether the call has ended. If not, what the
// call uses must not be used again. It makes none while another that was given up has not ended.
func (g *Guard) Do(patience time.Duration, call func()) bool {
	if g.left.Load() > 0 {
		return false
	}
	ended := make(chan struct{})
	g.begin(func() {
		defer close(ended)
		call()
	})
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-ended:
		return true
	case <-limit.C:
	}
	if g.left.Add(1) == 1 {
		g.since.Store(time.Now().UnixNano())
	}
	go func() {
		<-ended
		g.left.Add(-1)
	}()
	return false
}

func (g *Guard) begin(call func()) {
	if g.Go != nil {
		g.Go(call)
		return
	}
	go call()
}

// Silent returns for how long a call that was given up has not ended, 0 if there is none.
func (g *Guard) Silent() time.Duration {
	if g.left.Load() == 0 {
		return 0
	}
	return time.Since(time.Unix(0, g.since.Load()))
}
