//go:build linux

package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginefake"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// atCost lets processes have trampolines when their probes cost too much.
func atCost(o *Options) {
	budgeted(o)
	o.Trampolines = TrampolinesAtCost
}

var (
	errSeccomp = engine.Refuse(engine.RefusedSeccomp, "system calls are filtered")
	errTraced  = engine.Refuse(engine.RefusedTraced, "a debugger is there")
)

// burden lets the processes of some ids change states for a tenth of a second, however they are seen: with probes, that costs 80 % of their
// processor time. It checks that what was told of them never goes back.
func (w *world) burden(t *testing.T, pids ...int) {
	t.Helper()
	before := w.told(t)
	w.host.set(func(h *host) { h.cpu += 100 * time.Millisecond })
	for _, pid := range pids {
		for _, of := range []*enginefake.Engine{w.engine, w.patcher} {
			if p := of.Process(pid); p != nil {
				p.Count(lifecycle.Counts{Transitions: 80_000})
			}
		}
	}
	w.pass(100 * time.Millisecond)
	for of, n := range w.told(t) {
		require.GreaterOrEqual(t, n.transitions, before[of].transitions, "counts go back")
		require.GreaterOrEqual(t, n.covered, before[of].covered, "what was covered goes back")
	}
}

type told struct {
	transitions uint64
	covered     time.Duration
}

// told returns what a collection tells of each process.
func (w *world) told(t *testing.T) map[any]told {
	t.Helper()
	all := map[any]told{}
	for _, s := range w.collect() {
		all[s.Process] = told{s.Counts.Transitions, s.Overhead.Coverage.Elapsed}
	}
	return all
}

// until burdens processes until something is so.
func (w *world) until(t *testing.T, what string, is func() bool, pids ...int) {
	t.Helper()
	for range 200 {
		if is() {
			return
		}
		w.burden(t, pids...)
	}
	t.Fatalf("it never happened: %s", what)
}

// moves burdens processes until those of some ids have trampolines.
func (w *world) moves(t *testing.T, pids ...int) {
	t.Helper()
	w.until(t, "the processes have trampolines", func() bool {
		for _, pid := range pids {
			if w.patcher.Process(pid) == nil {
				return false
			}
		}
		return true
	}, pids...)
}

// second is another process that runs the same file.
var second = processes.Process{PID: pid + 1, StartTime: 2, Execution: 2, Executable: "/srv/server", File: 1}

func TestMove(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		p := w.start()
		w.engine.Emit(create(2))
		w.settle()
		w.moves(t, pid)
		counts, _ := p.Counts()
		require.Zero(t, w.engine.Attached(), "there are probes beside the trampolines")
		require.Equal(t, lifecycle.Unfollowed, w.sink.endings()[2])
		require.Equal(t, counts.Transitions, w.collect()[0].Counts.Transitions, "what was seen by probes is lost, or counted twice")
		require.Equal(t, "trampoline", w.collect()[0].Engine)

		w.patcher.Emit(create(3), exit(3))
		w.settle()
		require.Equal(t, lifecycle.Exit, w.sink.endings()[3])

		for range 600 {
			w.burden(t, pid)
		}
		require.Zero(t, w.engine.Attached(), "there are probes again")
		require.Equal(t, 1, w.patcher.Calls("Attach"))
		w.host.set(func(h *host) { require.Equal(t, 2, h.opened, "names are read from the file that was opened first") })
		require.Len(t, w.sink.levels, 1)
		c := w.sink.levels[0]
		require.Equal(t, [...]string{"full", "full", "trampoline", "budget"}, [...]string{c.From, c.To, c.Engine, c.Reason})
		require.Greater(t, c.Share, 0.05)
		moves := w.log.FilterMessageSnippet("are to be seen by trampolines").All()
		require.Len(t, moves, 1)
		require.Equal(t, time.Microsecond, moves[0].ContextMap()["probe"])
		require.Equal(t, 10*time.Nanosecond, moves[0].ContextMap()["trampoline"])
		require.Empty(t, w.stayed)

		w.registry.exit(pid)
		w.patcher.Emit(processEvent(lifecycle.ProcessExited))
		w.settle()
		for _, last := range w.collect() {
			last.Taken()
		}
		w.pass(4 * linger)
		require.Zero(t, w.patcher.Attached())
		require.Zero(t, w.engine.Attached())
		w.host.set(func(h *host) { require.Zero(t, h.opened, "the file is left open") })
	})
}

// TestMoveWhereOthersPay has probes that cost processes too much which are not followed.
func TestMoveWhereOthersPay(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Second)
		w.until(t, "the process has trampolines", func() bool {
			w.engine.HitOthers(80_000)
			return w.patcher.Process(pid) != nil
		})
		require.Equal(t, "unfollowed", w.sink.levels[0].Reason)
	})
}

// TestCheapProbesStay has probes within the budget.
func TestCheapProbesStay(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		p := w.start()
		for range 600 {
			w.host.set(func(h *host) { h.cpu += 100 * time.Millisecond })
			p.Count(lifecycle.Counts{Transitions: 1000})
			w.pass(100 * time.Millisecond)
		}
		require.Zero(t, w.patcher.Calls("Attach"))
		require.Equal(t, "uprobe", w.collect()[0].Engine)
	})
}

// TestTheFileRefuses has an executable that cannot have trampolines: it keeps its probes, without a moment's pause before less is seen, and
// is not asked again.
func TestTheFileRefuses(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.start()
		w.patcher.Script("Attach", enginefake.Step{Err: engine.Refuse(engine.RefusedCode, "no place for a jump")})
		w.until(t, "the level falls", func() bool { return len(w.sink.levels) > 0 }, pid)
		require.Equal(t, "uprobe", w.sink.levels[0].Engine)
		require.NotEqual(t, w.sink.levels[0].From, w.sink.levels[0].To)
		require.LessOrEqual(t, w.engine.Calls("Attachment.Close"), 1, "it was detached for nothing")
		for range 3000 {
			w.burden(t, pid)
		}
		require.Equal(t, 1, w.patcher.Calls("Attach"))
		require.Equal(t, 1, w.logged("does not permit trampolines"))
		require.Equal(t, []int{pid}, w.stayed)
	})
}

// TestTheProcessRefuses has one that cannot have trampolines, for good: it has its probes again, alone, and less is seen of it.
func TestTheProcessRefuses(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.start()
		w.patcher.Refuse(pid, errSeccomp)
		w.until(t, "the process has its probes again", func() bool {
			return w.patcher.Calls("Follow") > 0 && w.engine.Process(pid) != nil
		}, pid)
		require.Equal(t, [][]int{{pid}}, w.engine.AttachedTo())
		w.until(t, "the level falls", func() bool { return len(w.sink.levels) > 0 }, pid)
		require.Equal(t, "uprobe", w.sink.levels[0].Engine)
		require.NotEqual(t, w.sink.levels[0].From, w.sink.levels[0].To)
		for range 3000 {
			w.burden(t, pid)
		}
		require.Equal(t, 1, w.patcher.Calls("Follow"), "it was asked again")
		require.Equal(t, []int{pid}, w.stayed)
		require.NoError(t, w.registry.refusal(pid), "it is followed, though not so")
	})
}

// TestARefusalPasses has a process refuse while it has a tracer.
func TestARefusalPasses(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.start()
		w.patcher.Refuse(pid, errTraced)
		w.until(t, "the process has refused", func() bool { return len(w.stayed) > 0 }, pid)
		w.patcher.Refuse(pid, nil)
		for range 1200 {
			w.burden(t, pid)
		}
		require.NotNil(t, w.patcher.Process(pid), "it was not asked again")
		require.Zero(t, w.engine.Attached())
		require.Equal(t, "trampoline", w.collect()[0].Engine)
		require.Equal(t, "full", w.collect()[0].Overhead.Level)
	})
}

// TestMixedProgram has one process of two refuse: each is seen in its way.
func TestMixedProgram(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.registry.run(second)
		w.start()
		require.NotNil(t, w.engine.Process(second.PID))
		w.patcher.Refuse(second.PID, errSeccomp)
		w.until(t, "both are seen in their ways", func() bool {
			return w.patcher.Process(pid) != nil && w.engine.Process(second.PID) != nil
		}, pid, second.PID)
		require.Equal(t, [][]int{{second.PID}}, w.engine.AttachedTo())
		require.Nil(t, w.engine.Process(pid))
		require.Nil(t, w.patcher.Process(second.PID))
		require.Equal(t, []int{second.PID}, w.stayed)
		w.until(t, "less is seen of the one with probes", func() bool { return len(w.sink.levels) > 1 }, pid, second.PID)
		for _, s := range w.collect() {
			require.Equal(t, s.Engine == "trampoline", s.Overhead.Level == "full")
		}
	})
}

// TestNewcomersAfterTheMove begins a process of a file that has moved: it has no probes at any time, and has them if it refuses.
func TestNewcomersAfterTheMove(t *testing.T) {
	for name, refuse := range map[string]error{"permits": nil, "refuses": errSeccomp} {
		t.Run(name, func(t *testing.T) {
			in(t, atCost, func(t *testing.T, w *world) {
				w.start()
				w.moves(t, pid)
				w.patcher.Refuse(second.PID, refuse)
				w.registry.run(second)
				executed := processEvent(lifecycle.ProcessExecuted)
				executed.PID = second.PID
				w.engine.Emit(executed)
				w.pass(200 * time.Millisecond)
				if refuse == nil {
					require.NotNil(t, w.patcher.Process(second.PID))
					require.Zero(t, w.engine.Attached())
					return
				}
				require.NotNil(t, w.engine.Process(second.PID))
				require.Equal(t, [][]int{{second.PID}}, w.engine.AttachedTo(), "the process with trampolines has probes too")
				require.NotNil(t, w.patcher.Process(pid))
			})
		})
	}
}

// whileMoving does something while a process has lost its probes, and has no trampolines yet.
func whileMoving(t *testing.T, do func(*testing.T, *world), then func(*testing.T, *world)) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.start()
		waits := make(chan struct{})
		w.engine.Script("Attachment.Close", enginefake.Step{Wait: waits})
		w.until(t, "the process is moved", func() bool { return w.engine.Calls("Attachment.Close") > 0 }, pid)
		require.Equal(t, 1, w.patcher.Calls("Attach"))
		do(t, w)
		w.pass(longestScanInterval)
		require.Zero(t, w.patcher.Calls("Follow"), "there are still probes")
		close(waits)
		w.settle()
		then(t, w)
	})
}

func TestExitWhileMoving(t *testing.T) {
	whileMoving(t, func(_ *testing.T, w *world) {
		w.registry.exit(pid)
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		w.settle()
	}, func(t *testing.T, w *world) {
		all := w.collect()
		require.Len(t, all, 1)
		require.True(t, all[0].Last)
		require.Positive(t, all[0].Counts.Transitions)
		require.Zero(t, w.patcher.Calls("Follow"))
		all[0].Taken()
		w.pass(4 * linger)
		require.Zero(t, w.engine.Attached())
		require.Zero(t, w.patcher.Attached())
	})
}

func TestExecWhileMoving(t *testing.T) {
	whileMoving(t, func(_ *testing.T, w *world) {
		again := server
		again.Execution++
		w.registry.run(again)
		w.engine.Process(pid).Execute()
		w.engine.Emit(processEvent(lifecycle.ProcessExecuted))
		w.settle()
	}, func(t *testing.T, w *world) {
		require.NotNil(t, w.patcher.Process(pid))
		require.Zero(t, w.engine.Attached())
		require.Len(t, w.collect(), 2, "the program before, and the one now")
	})
}

// TestNewcomerWhileMoving begins a process that the kernel's engine follows by itself at the last moment.
func TestNewcomerWhileMoving(t *testing.T) {
	whileMoving(t, func(_ *testing.T, w *world) {
		w.registry.run(second)
		w.engine.Arrive(second.PID)
		w.settle()
	}, func(t *testing.T, w *world) {
		require.NotNil(t, w.patcher.Process(pid))
		require.NotNil(t, w.patcher.Process(second.PID))
		require.Zero(t, w.engine.Newcomers(), "the kernel's engine follows it too")
		require.Zero(t, w.engine.Attached())
	})
}

// TestUndecidedNewcomer begins a process that the kernel's engine follows by itself, and of which it is known only after the move that it
// counts.
func TestUndecidedNewcomer(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.start()
		waits := make(chan struct{})
		w.registry.mu.Lock()
		w.registry.waiting[second.PID] = waits
		w.registry.mu.Unlock()
		w.registry.run(second)
		w.engine.Arrive(second.PID)
		early := create(2)
		early.PID = second.PID
		w.engine.Emit(early)
		w.settle()
		w.moves(t, pid)
		require.Nil(t, w.patcher.Process(second.PID), "a scan was first")
		close(waits)
		w.settle()
		require.NotNil(t, w.patcher.Process(second.PID))
		require.Zero(t, w.engine.Newcomers())
		require.Zero(t, w.engine.Calls("Accept"))
		kept := 0
		require.True(t, w.ask(t.Context(), func(l *loop) { kept = l.early }))
		require.Zero(t, kept, "room for events is lost")
	})
}

// TestNewcomerBeforeTheMove has the kernel's engine be first to follow a process by itself, of which something is still read when it moves.
func TestNewcomerBeforeTheMove(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.start()
		waits := make(chan struct{})
		w.host.set(func(h *host) { h.reading = waits })
		w.registry.run(second)
		w.pass(scanInterval)
		w.engine.Arrive(second.PID)
		w.settle()
		w.moves(t, pid)
		close(waits)
		w.settle()
		require.NotNil(t, w.patcher.Process(second.PID))
		require.Zero(t, w.engine.Newcomers())
		require.Zero(t, w.patcher.Calls("Accept"))
	})
}

// TestHitsOfTheLastProbes are charged to probes, however many there are until they are taken away.
func TestHitsOfTheLastProbes(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		p := w.start()
		waits := make(chan struct{})
		w.engine.Script("Attachment.Close", enginefake.Step{Wait: waits})
		w.until(t, "the process is moved", func() bool { return w.engine.Calls("Attachment.Close") > 0 }, pid)
		p.Count(lifecycle.Counts{Transitions: 1_000_000})
		close(waits)
		w.settle()
		for range 100 {
			w.burden(t, pid)
		}
		require.Len(t, w.sink.levels, 1)
		require.Equal(t, "full", w.collect()[0].Overhead.Level)
	})
}

// TestCollectWhileMoving has goroutines counted in the process's memory while nothing sees them.
func TestCollectWhileMoving(t *testing.T) {
	in(t, atCost, func(t *testing.T, w *world) {
		w.start()
		w.host.set(func(h *host) { h.looked.Live[lifecycle.Waiting] = 3 })
		waits := make(chan struct{})
		defer close(waits)
		w.patcher.Script("Follow", enginefake.Step{Wait: waits})
		w.until(t, "the process is moved", func() bool { return w.patcher.Calls("Follow") > 0 }, pid)
		require.EqualValues(t, 3, w.collect()[0].Counts.Live[lifecycle.Waiting])
	})
}

// TestStopWhileMoving stops at each step of a move.
func TestStopWhileMoving(t *testing.T) {
	for name, step := range map[string]struct {
		of     func(*world) *enginefake.Engine
		method string
	}{
		"the executable is prepared":  {func(w *world) *enginefake.Engine { return w.patcher }, "Attach"},
		"the probes are taken away":   {func(w *world) *enginefake.Engine { return w.engine }, "Attachment.Close"},
		"the trampolines are put on":  {func(w *world) *enginefake.Engine { return w.patcher }, "Follow"},
		"goroutines are being looked": {func(w *world) *enginefake.Engine { return w.patcher }, "Throttle"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, atCost, func(t *testing.T, w *world) {
				w.start()
				w.engine.Emit(create(2))
				w.settle()
				waits := make(chan struct{})
				step.of(w).Script(step.method, enginefake.Step{Wait: waits})
				for step.of(w).Calls(step.method) == 0 {
					w.host.set(func(h *host) { h.cpu += 100 * time.Millisecond })
					if p := w.engine.Process(pid); p != nil {
						p.Count(lifecycle.Counts{Transitions: 80_000})
					}
					time.Sleep(100 * time.Millisecond)
				}
				w.stopWhile(waits)
				require.Equal(t, lifecycle.Unfollowed, w.sink.endings()[2])
				require.Nil(t, w.engine.Process(pid))
				require.Nil(t, w.patcher.Process(pid))
			})
		})
	}
}

// TestTrampolinesOnly has no probes on anything, whatever refuses.
func TestTrampolinesOnly(t *testing.T) {
	only := func(o *Options) {
		budgeted(o)
		o.Trampolines = TrampolinesOnly
	}
	for name, test := range map[string]struct {
		refuse func(*world)
		err    error
	}{
		"all permit":          {func(*world) {}, nil},
		"the process refuses": {func(w *world) { w.patcher.Refuse(pid, errSeccomp) }, errSeccomp},
		"the file refuses":    {func(w *world) { w.patcher.Script("Attach", enginefake.Step{Err: errSeccomp}) }, errSeccomp},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, only, func(t *testing.T, w *world) {
				test.refuse(w)
				w.registry.run(server)
				w.Start()
				w.settle()
				require.Zero(t, w.engine.Calls("Attach"))
				if test.err != nil {
					require.ErrorIs(t, w.registry.refusal(pid), test.err)
					require.Nil(t, w.patcher.Process(pid))
					return
				}
				require.NotNil(t, w.patcher.Process(pid))
				w.registry.run(second)
				executed := processEvent(lifecycle.ProcessExecuted)
				executed.PID = second.PID
				w.engine.Emit(executed)
				w.settle()
				require.NotNil(t, w.patcher.Process(second.PID))
			})
		})
	}
}

// TestExecWithTrampolines has a process execute its file again, and be left as what it was only later.
func TestExecWithTrampolines(t *testing.T) {
	in(t, func(o *Options) { o.Trampolines = TrampolinesOnly }, func(t *testing.T, w *world) {
		w.registry.run(server)
		w.Start()
		w.settle()
		before := w.patcher.Process(pid)
		before.Count(lifecycle.Counts{Created: 5})
		waits := make(chan struct{})
		w.patcher.Script("Unfollow", enginefake.Step{Wait: waits})
		w.pass(time.Second)
		again := server
		again.Execution++
		w.registry.run(again)
		w.patcher.Refuse(pid, engine.ErrFollowed)
		before.Execute()
		w.engine.Emit(processEvent(lifecycle.ProcessExecuted))
		w.pass(4 * shortly)
		require.Greater(t, w.patcher.Calls("Follow"), 2, "it is not tried again")
		w.patcher.Refuse(pid, nil)
		close(waits)
		w.pass(2 * shortly)
		require.NotNil(t, w.patcher.Process(pid))
		require.NotSame(t, before, w.patcher.Process(pid))
		all := w.collect()
		require.Len(t, all, 2, "the program before, and the one now")
	})
}

// TestFollowedAfterItExecuted has trampolines put into a process since it executed its program, of which an event tells only then.
func TestFollowedAfterItExecuted(t *testing.T) {
	in(t, func(o *Options) { o.Trampolines = TrampolinesOnly }, func(t *testing.T, w *world) {
		w.registry.run(server)
		executed := processEvent(lifecycle.ProcessExecuted)
		time.Sleep(time.Millisecond)
		w.Start()
		w.settle()
		p := w.patcher.Process(pid)
		require.NotNil(t, p)
		w.engine.Emit(executed)
		w.settle()
		require.Same(t, p, w.patcher.Process(pid))
		require.Len(t, w.collect(), 1)
	})
}

// TestTrampolinesCostTooMuch lets even those: less is seen, but nothing is taken away for the sake of system calls.
func TestTrampolinesCostTooMuch(t *testing.T) {
	in(t, func(o *Options) { o.Trampolines = TrampolinesOnly; budgeted(o) }, func(t *testing.T, w *world) {
		w.patcher.Cost = engine.Cost{Usual: 80 * time.Nanosecond, Most: 80 * time.Nanosecond}
		w.registry.run(server)
		w.Start()
		w.settle()
		w.until(t, "less is seen than all the time", func() bool { return w.patcher.Attached() == 0 }, pid)
		for _, c := range w.sink.levels {
			require.NotEqual(t, overhead.NoSyscalls.String(), c.To)
			require.Equal(t, "trampoline", c.Engine)
		}
		require.Equal(t, 1, w.patcher.Calls("Attach"))
		w.until(t, "there is another window", func() bool { return w.patcher.Attached() == 1 }, pid)
	})
}
