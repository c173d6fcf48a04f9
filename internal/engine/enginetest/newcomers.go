//go:build linux

package enginetest

import (
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// newcomers are about processes that the engine begins to follow by itself, and about what becomes of processes.
var newcomers = []subtest{
	{"Accept", accept},
	{"Reject", reject},
	{"Release", release},
	{"IgnoreNewcomers", ignoreNewcomers},
	{"Execution", execution},
	{"ExitOfAProcess", exitOfAProcess},
}

// arrival waits for the event of a process that the engine has begun to follow, and returns those before it, too.
func (t *test) arrival(e engine.Engine, pid int) (engine.ID, []lifecycle.Event) {
	t.Helper()
	all := t.eventsOf(e, pid, func(all []lifecycle.Event) bool { return count(all, lifecycle.ProcessFollowed) > 0 })
	for _, event := range all {
		if event.Kind == lifecycle.ProcessFollowed {
			return engine.ID(event.G), all
		}
	}
	panic("there was one")
}

// newcomer returns a program of which the engine follows all processes, and one that it has begun to follow.
func (t *test) newcomer(args ...string) (e engine.Engine, a engine.Attachment, p *program, id engine.ID) {
	t.Helper()
	built := t.build("family")
	e = t.engine(options)
	a = t.attach(e, built, engine.AttachOptions{})
	require.NoError(t, a.FollowNewcomers(everything))
	p = built.again(args...)
	p.Line()
	id, _ = t.arrival(e, p.PID())
	return e, a, p, id
}

// accept has a process followed from its beginning on: nothing needs to be adopted.
func accept(t *test) {
	e, a, p, id := t.newcomer("1", "3")
	process, err := a.Accept(p.PID(), id)
	require.NoError(t, err)
	require.Equal(t, id, process.ID())
	f := &followed{program: p, Process: process, engine: e, attachment: a}
	require.True(t, f.Followed())
	f.requireLive()
	_, err = a.Follow(p.PID(), 0, everything)
	require.ErrorIs(t, err, engine.ErrFollowed)
	p.step("waiting")
	p.step("done")
	t.eventsOf(e, p.PID(), exits(4))
	f.requireLive()
	f.requireNothingMissed()
	require.NoError(t, f.Unfollow())
}

// reject has a process go on unseen, and not arrive again; somebody may change their mind.
func reject(t *test) {
	e, a, p, id := t.newcomer("1", "3")
	require.NoError(t, e.Reject(p.PID(), id))
	t.pending(e, p.PID())
	before := t.hitsOfOthers(a)
	p.step("waiting")
	p.step("done")
	require.Empty(t, t.pending(e, p.PID()))
	require.Greater(t, t.hitsOfOthers(a), before)
	process, err := a.Follow(p.PID(), 0, everything)
	require.NoError(t, err)
	require.NoError(t, process.Unfollow())
}

// release has a process followed in another way.
func release(t *test) {
	e, a, p, id := t.newcomer("1", "3")
	require.NoError(t, a.IgnoreNewcomers())
	_, err := a.Follow(p.PID(), 0, everything)
	require.ErrorIs(t, err, engine.ErrFollowed)
	require.NoError(t, e.Release(p.PID(), id))
	t.pending(e, p.PID())
	f := t.followBy(e, a, p, everything)
	f.adoptAll(false)
	p.step("waiting")
	p.step("done")
	t.eventsOf(e, p.PID(), exits(4))
	require.NoError(t, f.Unfollow())
}

// ignoreNewcomers lets no more processes arrive.
func ignoreNewcomers(t *test) {
	e, a, p, id := t.newcomer("1", "3")
	require.NoError(t, a.IgnoreNewcomers())
	require.NoError(t, e.Release(p.PID(), id))
	other := p.again("1", "3")
	other.Line()
	require.Zero(t, count(t.pending(e, other.PID()), lifecycle.ProcessFollowed))
}

// execution has a process that is followed execute the same file again: it arrives as another one.
func execution(t *test) {
	e, a, p, id := t.newcomer("1", "3", "exec")
	old, err := a.Accept(p.PID(), id)
	require.NoError(t, err)
	p.step("ready")
	next, before := t.arrival(e, p.PID())
	require.Positive(t, count(before, lifecycle.ProcessExecuted))
	require.NotEqual(t, id, next)
	require.False(t, old.Followed())
	process, err := a.Accept(p.PID(), next)
	require.NoError(t, err)
	require.NoError(t, old.Unfollow(), "what was executed is gone")
	f := &followed{program: p, Process: process, engine: e, attachment: a}
	require.True(t, f.Followed(), "who leaves the one before the execution takes the other along")
	f.requireLive()
	require.NoError(t, f.Unfollow())
}

// exitOfAProcess tells of it, after all that its goroutines did.
func exitOfAProcess(t *test) {
	built := t.build("short")
	e := t.engine(options)
	a := t.attach(e, built, engine.AttachOptions{})
	require.NoError(t, a.FollowNewcomers(everything))
	p := built.again()
	id, events := t.arrival(e, p.PID())
	process, err := a.Accept(p.PID(), id)
	require.NoError(t, err)
	p.Wait()
	events = append(events, t.eventsOf(e, p.PID(), func(all []lifecycle.Event) bool { return count(all, lifecycle.ProcessExited) > 0 })...)
	require.Equal(t, 1, count(events, lifecycle.ProcessExited))
	require.Equal(t, 1, count(events, lifecycle.Exited), "the worker's exit")
	require.NoError(t, process.Unfollow())
}
