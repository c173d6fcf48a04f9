//go:build linux

package enginetest

import (
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// ends are about what becomes of processes that are followed.
var ends = []subtest{
	{"EndOfAFollowed", endOfAFollowed},
	{"ExecutionOfAFollowed", executionOfAFollowed},
}

// endOfAFollowed tells that a process was killed, and what it counted until then.
func endOfAFollowed(t *test) {
	f := t.follow(t.family(), options, everything)
	f.adoptAll(true)
	f.step("waiting")
	f.rest(members)
	f.Signal(syscall.SIGKILL)
	all := t.eventsOf(f.engine, f.PID(), func(all []lifecycle.Event) bool { return count(all, lifecycle.ProcessExited) > 0 })
	require.Equal(t, 1, count(all, lifecycle.ProcessExited))
	require.Equal(t, members, count(all, lifecycle.Created))
	require.EqualValues(t, members, f.counts().Created)
	require.NoError(t, f.Unfollow())
	require.EqualValues(t, members, f.counts().Created)
}

// executionOfAFollowed has a process execute its file again: it is not followed any more, and may be anew.
func executionOfAFollowed(t *test) {
	built := t.build("family")
	e := t.engine(options)
	a := t.attach(e, built, engine.AttachOptions{})
	p := built.again("1", "3", "exec")
	p.Line()
	old := t.followBy(e, a, p, everything)
	p.step("ready")
	t.eventsOf(e, p.PID(), func(all []lifecycle.Event) bool { return count(all, lifecycle.ProcessExecuted) > 0 })
	require.False(t, old.Followed())
	f := t.followBy(e, a, p, everything)
	require.NoError(t, old.Unfollow(), "what was executed is gone")
	require.True(t, f.Followed(), "who leaves the one before the execution takes the other along")
	f.adoptAll(false)
	p.step("waiting")
	p.step("done")
	t.eventually("all exit", func() bool { return f.counts().Exited == 4 })
	f.requireLive()
}
