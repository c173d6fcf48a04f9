//go:build linux

package enginetest

import (
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// others are about processes that are not followed, of engines that touch all that run an executable.
var others = []subtest{
	{"GivenProcesses", givenProcesses},
	{"HitsOfOthers", hitsOfOthers},
	{"TwoEngines", twoEngines},
}

// attachments are about what is put on executables or into processes, and taken away.
var attachments = []subtest{
	{"NothingIsLeft", nothingIsLeft},
	{"ComeAndGo", comeAndGo},
	{"ConcurrentUse", concurrentUse},
}

func (t *test) hitsOfOthers(a engine.Attachment) uint64 {
	t.Helper()
	n, err := a.HitsOfOthers()
	require.NoError(t, err)
	return n
}

// givenProcesses attaches to two of three processes of a file: the third is left alone.
func givenProcesses(t *test) {
	e := t.engine(options)
	first := t.program("storm", "2", "20000000")
	running := [3]*program{first, first.again("2", "20000000"), first.again("2", "20000000")}
	for _, p := range running {
		if p != first {
			p.Line()
		}
		p.GoOn() // and goes on until it is ended
	}
	touched := func() (is [3]bool) {
		for i, p := range running {
			is[i] = p.touched()
		}
		return is
	}
	const gone = 1 << 22 // above any process id
	_, err := e.Attach(first.binary, first.exe, engine.AttachOptions{Syscalls: true, PIDs: []int{gone}})
	require.ErrorIs(t, err, unix.ESRCH)
	a := t.attach(e, first, engine.AttachOptions{PIDs: []int{gone, first.PID()}})
	require.Equal(t, [3]bool{true, false, false}, touched())
	f := t.followBy(e, a, first, engine.Settings{})
	t.eventually("changes are seen", func() bool { return f.counts().Transitions > 0 })
	others := t.hitsOfOthers(a)
	t.eventually("more changes are seen", func() bool { return f.counts().Transitions > 1000 })
	require.Equal(t, others, t.hitsOfOthers(a), "hits of processes that are not given")
	require.ErrorIs(t, a.Include(gone), unix.ESRCH)
	require.NoError(t, a.Include(running[1].PID()))
	require.NoError(t, a.Include(running[1].PID()))
	require.Equal(t, [3]bool{true, true, false}, touched())
	require.NoError(t, a.Close())
	require.Equal(t, [3]bool{}, touched())
}

// hitsOfOthers counts those of a process that is not followed, and none of one that is.
func hitsOfOthers(t *test) {
	f := t.follow(t.family(), options, engine.Settings{})
	other := f.again("1", "1")
	other.Line()
	before := t.hitsOfOthers(f.attachment)
	other.step("waiting")
	other.step("done")
	other.Stop()
	after := t.hitsOfOthers(f.attachment)
	require.Greater(t, after, before)
	f.step("waiting")
	f.step("done")
	require.Equal(t, after, t.hitsOfOthers(f.attachment), "hits of one that is followed")
	n := f.counts()
	require.GreaterOrEqual(t, n.Hits(), n.Transitions)
}

// nothingIsLeft of an attachment to a process that goes on.
func nothingIsLeft(t *test) {
	f := t.follow(t.family(), options, everything)
	require.True(t, f.touched())
	f.step("waiting")
	require.NoError(t, f.Unfollow())
	require.NoError(t, f.attachment.Close())
	require.False(t, f.touched())
	f.step("done")
}

// comeAndGo attaches again and again while a program is at work: it goes on.
func comeAndGo(t *test) {
	e := t.engine(options)
	p := t.program("storm", "8", "1000000000")
	p.GoOn() // and goes on until it is ended
	for range 20 {
		a := t.attach(e, p, engine.AttachOptions{})
		f := t.followBy(e, a, p, engine.Settings{})
		t.eventually("changes are seen", func() bool { return f.counts().Transitions > 1000 })
		require.NoError(t, f.Unfollow())
		require.NoError(t, a.Close())
		require.False(t, p.touched())
	}
	f := t.followBy(e, t.attach(e, p, engine.AttachOptions{}), p, engine.Settings{})
	t.eventually("it is still at work", func() bool { return f.counts().Transitions > 1000 })
}
