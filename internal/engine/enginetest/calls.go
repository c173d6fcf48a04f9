//go:build linux

package enginetest

import (
	"os"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// calls are what an engine must do whatever it sees.
var calls = []subtest{
	{"FollowTwice", followTwice},
	{"FollowAgain", followAgain},
	{"NextReturnsInTime", nextReturnsInTime},
	{"WakeReturnsNext", wakeReturnsNext},
	{"CloseOfAnAttachment", closeOfAnAttachment},
}

// followTwice has no room for a second one of a process.
func followTwice(t *test) {
	f := t.follow(t.program("family", "1", "1"), options, engine.Settings{})
	_, err := f.attachment.Follow(f.PID(), 0, engine.Settings{})
	require.ErrorIs(t, err, engine.ErrFollowed)
	require.True(t, f.Followed(), "the first one is not followed any more")
}

// followAgain follows a process that was left.
func followAgain(t *test) {
	f := t.follow(t.program("family", "1", "1"), options, engine.Settings{})
	require.NoError(t, f.Unfollow())
	require.False(t, f.Followed())
	again := t.followBy(f.engine, f.attachment, f.program, engine.Settings{})
	require.True(t, again.Followed())
	require.False(t, f.Followed(), "it is followed as another")
	require.NoError(t, again.Unfollow())
}

// nextReturnsInTime waits for an event that does not come.
func nextReturnsInTime(t *test) {
	e := t.engine(options)
	returned := t.next(e, 10*time.Millisecond)
	select {
	case is := <-returned:
		require.False(t, is)
	case <-time.After(patience):
		t.Fatal("Next waits for ever")
	}
}

// wakeReturnsNext wakes it at once: a Next that has not begun to wait yet may miss that.
func wakeReturnsNext(t *test) {
	e := t.engine(options)
	returned := t.next(e, time.Hour)
	t.eventually("Next returns", func() bool {
		e.Wake()
		select {
		case is := <-returned:
			return !is
		default:
			return false
		}
	})
}

// next begins to wait for an event of no process.
func (t *test) next(e engine.Engine, atMost time.Duration) <-chan bool {
	returned := make(chan bool, 1)
	until := time.Now().Add(atMost)
	go func() {
		for {
			var event lifecycle.Event
			is, err := e.Next(&event, until)
			if err != nil {
				t.Error(err)
			}
			if !is || err != nil { // others on the machine may execute programs, of which an engine tells
				returned <- is
				return
			}
		}
	}()
	return returned
}

// closeOfAnAttachment uses one that is closed.
func closeOfAnAttachment(t *test) {
	p := t.program("family", "1", "1")
	e := t.engine(options)
	a := t.attach(e, p, engine.AttachOptions{PIDs: []int{p.PID()}})
	require.NoError(t, a.Include(p.PID()), "it is included already")
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "a second time")
	require.ErrorIs(t, a.Include(p.PID()), os.ErrClosed)
	first, err := a.HitsOfOthers()
	require.NoError(t, err)
	second, err := a.HitsOfOthers()
	require.NoError(t, err)
	require.Equal(t, first, second)
}
