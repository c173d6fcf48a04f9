//go:build linux

package session

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/combined"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginefake"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

var errScripted = errors.New("scripted")

// registry is one in which the test registers processes.
type registry struct {
	mu      sync.Mutex
	known   map[int]processes.Process
	refused map[int]error // by the id of a process that runs the file, or of the process itself
	scanErr error
	lookErr error
	waiting map[int]chan struct{} // looks that wait, by process
}

func (r *registry) run(p processes.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[p.PID] = p
}

func (r *registry) exit(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, pid)
}

func (r *registry) refusal(pid int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused[pid]
}

func (r *registry) Scan(context.Context) (processes.Sight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := processes.Sight{Live: map[int]processes.Process{}}
	for pid, p := range r.known {
		seen.Live[pid] = p
		if r.refused[pid] == nil {
			seen.Found = append(seen.Found, p)
		}
	}
	return seen, r.scanErr
}

func (r *registry) Look(ctx context.Context, pid int) (processes.Process, bool, error) {
	r.mu.Lock()
	p, ok := r.known[pid]
	waiting, err := r.waiting[pid], r.lookErr
	r.mu.Unlock()
	if waiting != nil {
		select {
		case <-waiting:
		case <-ctx.Done():
		}
	}
	return p, ok && err == nil, err
}

func (r *registry) Open(processes.File) (*os.File, error) { return nil, nil }

func (r *registry) Close() {}

func (r *registry) Refuse(p processes.Process, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused[p.PID] = err
}

func (r *registry) RefuseFile(p processes.Process, err error) { r.Refuse(p, err) }

// host is one whose processes do what the test says.
type host struct {
	mu      sync.Mutex
	openErr error
	biasErr error
	reading chan struct{} // what is read of processes waits until it is closed, if it is not nil
	living  []snapshot.Goroutine
	cpu     time.Duration
	goesOn  bool
	opened  int
	looked  waitstats.Count
	lookErr error
	looking chan struct{}
}

func (h *host) set(do func(*host)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do(h)
}

func (h *host) Now() int64 { return time.Now().UnixNano() }

func (h *host) Open(*os.File) (*Executable, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.openErr != nil {
		return nil, h.openErr
	}
	h.opened++
	binary := &goexe.Binary{Layout: &goexe.Layout{GoVersion: "go1.26.8"}, GoVersion: "go1.26.8", Sites: []goexe.Site{{Kind: goexe.Call}, {Syscall: true, Cost: goexe.SingleStepped}}}
	return &Executable{Binary: binary, Path: "/program", Close: func() error {
		h.set(func(h *host) { h.opened-- })
		return nil
	}}, nil
}

func (h *host) Bias(processes.Process, *goexe.Binary) (uint64, error) {
	h.mu.Lock()
	reading, err := h.reading, h.biasErr
	h.mu.Unlock()
	if reading != nil {
		<-reading
	}
	return 0, err
}

func (h *host) Goroutines(_ context.Context, _ int, _ *goexe.Binary, _ uint64, _ bool, visit func(snapshot.Goroutine) error) error {
	h.mu.Lock()
	living := h.living
	h.mu.Unlock()
	for _, g := range living {
		if err := visit(g); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) Channels(context.Context, int, *goexe.Binary, uint64, uint64, uint64) []lifecycle.Hchan {
	return nil
}

func (h *host) Look(int, *goexe.Binary, uint64) Look { return h }

func (h *host) Count(context.Context, time.Duration) (waitstats.Count, error) {
	h.mu.Lock()
	looking, count, err := h.looking, h.looked, h.lookErr
	h.mu.Unlock()
	if looking != nil {
		<-looking
	}
	return count, err
}

func (h *host) GoesOn(int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.goesOn
}

func (h *host) CPUTime(int) (time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cpu, nil
}

// CPUMeter returns that of the process that runs the test.
func (h *host) CPUMeter(processes.Process) *cpuusage.Meter {
	own, err := processes.Read(os.Getpid())
	if err != nil {
		panic(err)
	}
	return cpuusage.NewMeter(own)
}

// sink keeps what it takes.
type sink struct {
	mu      sync.Mutex
	changed int
	ended   []lifecycle.Goroutine
	levels  []telemetry.LevelChange
	busy    bool
	flushed bool
}

func (s *sink) Changed(*telemetry.Process, *lifecycle.Goroutine, *lifecycle.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed++
}

func (s *sink) Ended(_ *telemetry.Process, g *lifecycle.Goroutine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, *g)
}

func (s *sink) OnLevelChange(_ *telemetry.Process, c telemetry.LevelChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.levels = append(s.levels, c)
}

func (s *sink) Flush(last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed = s.flushed || last
}

func (s *sink) Busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}

func (s *sink) setBusy(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
}

// endings returns how the lives ended that the sink was given, by goroutine.
func (s *sink) endings() map[uint64]lifecycle.Ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[uint64]lifecycle.Ending{}
	for _, g := range s.ended {
		all[g.GoID] = g.Ending
	}
	return all
}

// world is a Manager with all that it uses.
type world struct {
	*Manager
	t        *testing.T
	engine   *enginefake.Engine
	patcher  *enginefake.Engine // by trampolines, beside the other; nil if there are none
	registry *registry
	host     *host
	sink     *sink
	log      *observer.ObservedLogs
	followed []int
	stayed   []int // because they refused trampolines
}

const pid = 7

var server = processes.Process{PID: pid, StartTime: 1, Execution: 1, Executable: "/srv/server", File: 1}

// in runs a test in a world of its own, in which time passes only when nothing else is to be done.
func in(t *testing.T, change func(*Options), test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		core, log := observer.New(zapcore.InfoLevel)
		w := &world{
			t: t, engine: enginefake.New(0), registry: &registry{known: map[int]processes.Process{}, refused: map[int]error{}, waiting: map[int]chan struct{}{}},
			host: &host{}, sink: &sink{}, log: log,
		}
		o := Options{
			Syscalls: true, Newcomers: true, Collected: true, Logger: zap.New(core),
			Settings: engine.Settings{SamplingRatio: 1},
			Limits:   lifecycle.Limits{Intervals: 100, Segment: time.Minute, Outlives: time.Second},
			Resource: func(processes.Process, *goexe.Binary) pcommon.Resource { return pcommon.NewResource() },
			Followed: func(p processes.Process) { w.followed = append(w.followed, p.PID) },
			Refused:  func(p processes.Process, _ error) { w.stayed = append(w.stayed, p.PID) },
		}
		if change != nil {
			change(&o)
		}
		w.Manager = New(o, w.engines(o), w.registry, w.host, w.sink)
		defer func() { _ = w.Stop(t.Context()) }()
		test(t, w)
		require.NoError(t, w.Stop(t.Context()))
		require.True(t, w.engine.Closed())
		require.Zero(t, w.engine.Attached(), "attachments are left")
		if w.patcher != nil {
			require.True(t, w.patcher.Closed())
			require.Zero(t, w.patcher.Attached(), "attachments with trampolines are left")
		}
		require.Zero(t, w.host.opened, "executables are left open")
	})
}

// engines returns the engine that the options ask for.
func (w *world) engines(o Options) engine.Engine {
	if o.Trampolines == NoTrampolines {
		return w.engine
	}
	w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
	w.patcher = enginefake.New(combined.FirstUserID - 1)
	w.patcher.Cost = engine.Cost{Usual: 10 * time.Nanosecond, Most: 10 * time.Nanosecond}
	both, err := combined.New(w.engine, func(ready func()) (engine.Engine, error) {
		w.patcher.Ready = ready
		return w.patcher, nil
	})
	require.NoError(w.t, err)
	return both
}

// start starts the manager with a process that runs.
func (w *world) start() *enginefake.Process {
	w.t.Helper()
	w.registry.run(server)
	w.Start()
	w.settle()
	p := w.engine.Process(pid)
	require.NotNil(w.t, p, "the process is not followed")
	return p
}

// settle lets all be done that can be done now, and the loop have a turn after it.
func (w *world) settle() {
	synctest.Wait()
	w.engine.Wake()
	synctest.Wait()
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	w.settle()
}

// create lets a goroutine be created, change ends an interval of it, and exit ends it.
func create(goid uint64) lifecycle.Event {
	now := time.Now().UnixNano()
	return lifecycle.Event{Kind: lifecycle.Created, Time: now, Since: now, PID: pid, G: goid << 8, GoID: goid, To: lifecycle.Runnable, Root: true}
}

func exit(goid uint64) lifecycle.Event {
	now := time.Now().UnixNano()
	return lifecycle.Event{Kind: lifecycle.Exited, Time: now, Since: now, PID: pid, G: goid << 8, GoID: goid, From: lifecycle.Running}
}

func change(goid uint64) lifecycle.Event {
	e := exit(goid)
	e.Kind, e.To = lifecycle.Transition, lifecycle.Runnable
	return e
}

func processEvent(kind lifecycle.Kind) lifecycle.Event {
	return lifecycle.Event{Kind: kind, Time: time.Now().UnixNano(), PID: pid}
}

func (w *world) collect() []telemetry.ProcessStats {
	w.t.Helper()
	all, err := w.Collect(w.t.Context())
	require.NoError(w.t, err)
	return all
}

func (w *world) logged(text string) int { return w.log.FilterMessageSnippet(text).Len() }

func TestFollow(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.host.living = []snapshot.Goroutine{{G: 1 << 8, GoID: 1, State: lifecycle.Waiting}}
		p := w.start()
		require.Len(t, p.Adopted(), 1)
		require.Equal(t, []int{pid}, w.followed)
		w.engine.Emit(create(2), exit(2))
		w.settle()
		require.Equal(t, map[uint64]lifecycle.Ending{2: lifecycle.Exit}, w.sink.endings())
		require.Equal(t, 2, w.sink.changed)

		p.Count(lifecycle.Counts{Created: 1})
		all := w.collect()
		require.Len(t, all, 1)
		require.EqualValues(t, 1, all[0].Counts.Created)
		w.pass(2 * upkeepInterval)
		followed, sum := w.Health()
		require.Equal(t, 1, followed)
		require.Equal(t, all[0].Counts, sum)

		require.NoError(t, w.Stop(t.Context()))
		require.Equal(t, lifecycle.Unfollowed, w.sink.endings()[1])
		require.True(t, w.sink.flushed)
		again, err := w.Collect(t.Context())
		require.NoError(t, err)
		require.Empty(t, again)
	})
}

func TestStopBeforeStart(t *testing.T) {
	in(t, nil, func(*testing.T, *world) {})
}

// TestWhatCannotBe lets steps towards following a process fail: the registry hears of it, and nothing is left.
func TestWhatCannotBe(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"analysed":  func(w *world) { w.host.openErr = errScripted },
		"attached":  func(w *world) { w.engine.Script("Attach", enginefake.Step{Err: errScripted}) },
		"inspected": func(w *world) { w.host.biasErr = errScripted },
		"followed":  func(w *world) { w.engine.Script("Follow", enginefake.Step{Err: errScripted}) },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(t *testing.T, w *world) {
				fail(w)
				w.registry.run(server)
				w.Start()
				w.settle()
				require.ErrorIs(t, w.registry.refusal(pid), errScripted)
				require.Nil(t, w.engine.Process(pid))
				require.Empty(t, w.followed)
				require.Empty(t, w.collect())
			})
		})
	}
}

// TestMinorFailures lets calls fail without which a process is followed nevertheless.
func TestMinorFailures(t *testing.T) {
	for _, method := range []string{"Adopt", "FollowNewcomers", "Throttle"} {
		t.Run(method, func(t *testing.T) {
			in(t, nil, func(t *testing.T, w *world) {
				w.host.living = []snapshot.Goroutine{{G: 1 << 8, GoID: 1, State: lifecycle.Waiting}}
				w.engine.Script(method, enginefake.Step{Err: errScripted})
				w.start()
				require.Equal(t, 1, w.log.Filter(func(e observer.LoggedEntry) bool { return e.ContextMap()["error"] == errScripted.Error() }).Len())
				w.engine.Emit(create(2), exit(2))
				w.settle()
				require.Contains(t, w.sink.endings(), uint64(2))
			})
		})
	}
}

func TestFailedScanIsRepeated(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.registry.run(server)
		w.registry.scanErr = errScripted
		w.Start()
		w.settle()
		require.Nil(t, w.engine.Process(pid))
		w.registry.mu.Lock()
		w.registry.scanErr = nil
		w.registry.mu.Unlock()
		w.pass(scanInterval)
		require.NotNil(t, w.engine.Process(pid))
	})
}

// TestHangingProcess has one process of which nothing can be read, and another: that is followed, and the manager stops in time.
func TestHangingProcess(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		hangs := make(chan struct{})
		w.host.reading = hangs
		w.registry.run(server)
		w.Start()
		w.settle()
		require.Nil(t, w.engine.Process(pid))
		w.host.set(func(h *host) { h.reading = nil })
		other := server
		other.PID++
		w.registry.run(other)
		w.pass(scanInterval)
		require.NotNil(t, w.engine.Process(pid+1))
		w.engine.Emit(processEvent(lifecycle.ProcessExited))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, w.Stop(ctx), context.DeadlineExceeded)
		require.Zero(t, w.engine.Attached(), "attachments wait for a process that hangs")
		close(hangs)
		w.settle()
		require.Nil(t, w.engine.Process(pid))
	})
}

func TestExit(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		p := w.start()
		p.Count(lifecycle.Counts{Created: 5})
		w.engine.Emit(create(2), processEvent(lifecycle.ProcessExited))
		w.registry.exit(pid)
		w.settle()
		require.Equal(t, lifecycle.ProcessExit, w.sink.endings()[2])
		require.Nil(t, w.engine.Process(pid))

		last := w.collect()
		require.Len(t, last, 1)
		require.True(t, last[0].Last)
		require.EqualValues(t, 5, last[0].Counts.Created)
		require.Empty(t, w.collect())

		w.pass(2 * linger)
		require.Equal(t, 1, w.host.opened, "the executable is closed although its names are needed")
		last[0].Taken()
		w.pass(2 * linger)
		require.Zero(t, w.host.opened)
		require.Zero(t, w.engine.Attached())
	})
}

func TestExitOfTheFirstThreadOnly(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.host.goesOn = true
		w.start()
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		w.settle()
		require.NotNil(t, w.engine.Process(pid))
	})
}

func TestMissingAtTwoScans(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.start()
		w.registry.exit(pid)
		w.pass(scanInterval)
		require.NotNil(t, w.engine.Process(pid), "events of its end may be on their way")
		w.pass(scanInterval)
		require.Nil(t, w.engine.Process(pid))
	})
}

func TestExec(t *testing.T) {
	next := server
	next.Execution, next.File = 2, 2
	t.Run("another program", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			p := w.start()
			w.engine.Emit(create(2))
			p.Execute()
			w.registry.run(next)
			w.engine.Emit(processEvent(lifecycle.ProcessExecuted))
			w.settle()
			require.Equal(t, lifecycle.ProcessExit, w.sink.endings()[2])
			require.NotNil(t, w.engine.Process(pid))
			require.NotSame(t, p, w.engine.Process(pid))
		})
	})
	t.Run("before it was found", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			p := w.start()
			old := processEvent(lifecycle.ProcessExecuted)
			old.Time = 1
			w.engine.Emit(old)
			w.settle()
			require.Same(t, p, w.engine.Process(pid))
		})
	})
	t.Run("the same file, before it was followed", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			p := w.start()
			same := server
			same.Execution = 2
			w.registry.run(same)
			w.engine.Emit(create(2), processEvent(lifecycle.ProcessExecuted))
			w.settle()
			require.Same(t, p, w.engine.Process(pid))
			require.Empty(t, w.sink.endings())
			w.pass(scanInterval)
			require.Same(t, p, w.engine.Process(pid), "what is known of it is not up to date")
		})
	})
	t.Run("the same file, looked at before and followed after", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			same := server
			same.Execution = 2
			p := w.start()
			w.engine.Emit(create(2))
			w.registry.run(same)
			w.pass(scanInterval)
			require.Same(t, p, w.engine.Process(pid))
			require.Empty(t, w.sink.endings(), "its goroutines are told of twice")
		})
	})
	t.Run("the same file, while it is inspected", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			reading := make(chan struct{})
			w.host.reading = reading
			w.registry.run(server)
			w.Start()
			w.settle()
			same := server
			same.Execution = 2
			w.registry.run(same)
			w.pass(scanInterval)
			close(reading)
			w.settle()
			require.NotNil(t, w.engine.Process(pid))
			require.Equal(t, 1, w.engine.Calls("Follow"))
			w.pass(longestScanInterval)
			require.Equal(t, 1, w.engine.Calls("Follow"), "what is known of it is not up to date")
		})
	})
	t.Run("found by a scan only", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			p := w.start()
			p.Execute()
			w.registry.run(next)
			w.pass(scanInterval)
			require.NotSame(t, p, w.engine.Process(pid))
			require.NotNil(t, w.engine.Process(pid))
		})
	})
}

func TestNewcomer(t *testing.T) {
	child := server
	child.PID = pid + 1
	of := func(e lifecycle.Event) lifecycle.Event { e.PID = child.PID; return e }
	t.Run("accepted", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			w.start()
			w.registry.run(child)
			w.engine.Arrive(child.PID)
			w.engine.Emit(of(create(2)), of(exit(2)), of(create(3)))
			w.settle()
			require.NotNil(t, w.engine.Process(child.PID))
			require.Equal(t, map[uint64]lifecycle.Ending{2: lifecycle.Exit}, w.sink.endings(), "its first goroutines are lost")
			require.Equal(t, 1, w.engine.Calls("Accept"))
		})
	})
	t.Run("does not count", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			w.start()
			w.engine.Arrive(child.PID)
			w.engine.Emit(of(create(2)))
			w.settle()
			require.Equal(t, 1, w.engine.Calls("Reject"))
			require.Zero(t, w.engine.Newcomers())
		})
	})
	t.Run("nobody knows yet", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			w.start()
			w.registry.lookErr = processes.ErrNoAnswer
			w.engine.Arrive(child.PID)
			w.settle()
			require.Equal(t, 1, w.engine.Calls("Release"))
			require.Zero(t, w.engine.Newcomers())
		})
	})
	t.Run("executes another program first", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			w.start()
			waits := make(chan struct{})
			w.registry.waiting[child.PID] = waits
			w.engine.Arrive(child.PID)
			w.settle()
			w.engine.Emit(of(processEvent(lifecycle.ProcessExecuted)))
			w.settle()
			close(waits)
			w.settle()
			require.Zero(t, w.engine.Newcomers())
			require.Nil(t, w.engine.Process(child.PID))
		})
	})
	t.Run("found by a scan at the same time", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			reading := make(chan struct{})
			w.start()
			w.host.set(func(h *host) { h.reading = reading })
			w.registry.run(child)
			w.pass(scanInterval)
			w.engine.Arrive(child.PID)
			w.settle()
			close(reading)
			w.settle()
			require.NotNil(t, w.engine.Process(child.PID))
			require.Zero(t, w.engine.Newcomers())
		})
	})
	t.Run("followed already", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			p := w.start()
			w.engine.Arrive(pid)
			w.settle()
			require.Same(t, p, w.engine.Process(pid))
			require.Zero(t, w.engine.Newcomers())
		})
	})
	t.Run("forgotten by the engine", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			p := w.start()
			p.Execute()
			w.engine.Arrive(pid)
			w.settle()
			require.NotNil(t, w.engine.Process(pid))
			require.NotSame(t, p, w.engine.Process(pid))
		})
	})
	t.Run("cannot be accepted", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *world) {
			w.start()
			w.registry.run(child)
			w.engine.Script("Accept", enginefake.Step{Err: errScripted})
			w.engine.Arrive(child.PID)
			w.settle()
			require.ErrorIs(t, w.registry.refusal(child.PID), errScripted)
			require.Zero(t, w.engine.Calls("Release"), "what Accept has released is released again")
		})
	})
}

// TestLostExits lets exits be lost: goroutines that are dead are ended, but not before their last events can have come.
func TestLostExits(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		p := w.start()
		w.engine.Emit(create(2))
		w.settle()
		p.Count(lifecycle.Counts{EventsLost: 1})
		p.Bury()
		w.pass(upkeepInterval)
		w.pass(upkeepInterval)
		require.Equal(t, map[uint64]lifecycle.Ending{2: lifecycle.Unseen}, w.sink.endings())
		require.Equal(t, 1, w.logged("Events of sampled goroutines are being lost"))
	})
}

func TestMissedChangesAreRepaired(t *testing.T) {
	for _, err := range []error{nil, errScripted} {
		in(t, nil, func(t *testing.T, w *world) {
			p := w.start()
			w.host.set(func(h *host) { h.living = []snapshot.Goroutine{{G: 1 << 8, GoID: 1, State: lifecycle.Waiting}} })
			w.engine.Script("Repair", enginefake.Step{Err: err})
			p.Count(lifecycle.Counts{Resynchronized: 1, Untracked: 1})
			w.pass(upkeepInterval)
			w.pass(upkeepInterval)
			require.Equal(t, 1, w.engine.Calls("Repair"), "once for each time that something was missed")
			require.Equal(t, 1, w.logged("States of goroutines"))
			require.Equal(t, 1, w.logged("More goroutines than"))
		})
	}
}

// TestSegments has more goroutines that live on than may be told of at once, and a new one, whose turn must not wait for all those.
func TestSegments(t *testing.T) {
	in(t, func(o *Options) { o.SpansPerSecond, o.Limits.Segment = 100, 1 }, func(t *testing.T, w *world) {
		for goid := range uint64(1000) {
			w.host.living = append(w.host.living, snapshot.Goroutine{G: (goid + 1) << 8, GoID: goid + 1, State: lifecycle.Waiting})
		}
		p := w.start()
		w.pass(upkeepInterval)
		w.sink.mu.Lock()
		told := len(w.sink.ended)
		w.sink.mu.Unlock()
		require.Positive(t, told)
		require.LessOrEqual(t, told, 50)
		require.Zero(t, p.Throttled(), "new trees are not sampled")
	})
}

func TestTooManySpans(t *testing.T) {
	in(t, func(o *Options) { o.SpansPerSecond = 10 }, func(t *testing.T, w *world) {
		p := w.start()
		for goid := range uint64(11) {
			w.engine.Emit(create(goid+2), exit(goid+2))
		}
		w.settle()
		require.EqualValues(t, 1, p.Throttled())
		require.False(t, p.Paused(), "trees that have begun are told of to their end")
		require.Equal(t, 1, w.logged("max_spans_per_second"))
	})
}

// TestPausedEvents has what is seen cost a process so much that no trees are sampled, and little again.
func TestPausedEvents(t *testing.T) {
	in(t, func(o *Options) { budgeted(o); o.Settings.SamplingRatio = 1 }, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		p := w.start()
		for range 100 {
			require.False(t, p.Paused() && p.Throttled() < 1, "trees are sampled of which not all is told")
			w.host.set(func(h *host) { h.cpu += 100 * time.Millisecond })
			p.Count(lifecycle.Counts{Transitions: 15_000})
			w.pass(100 * time.Millisecond)
			if p.Paused() {
				break
			}
		}
		require.True(t, p.Paused())
		require.NotZero(t, w.engine.Attached())
		w.pass(30 * time.Second)
		require.False(t, p.Paused())
	})
}

// TestTooManyLogRecords has few goroutines that change often.
func TestTooManyLogRecords(t *testing.T) {
	for _, logged := range []bool{false, true} {
		in(t, func(o *Options) { o.SpansPerSecond, o.Logged = 10, logged }, func(t *testing.T, w *world) {
			p := w.start()
			w.engine.Emit(create(2))
			for range 10 {
				w.engine.Emit(change(2))
			}
			w.settle()
			require.Equal(t, logged, p.Throttled() == 1)
		})
	}
}

func TestBusySink(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		p := w.start()
		w.engine.Emit(create(2))
		w.settle()
		w.sink.setBusy(true)
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		w.pass(time.Second)
		require.Empty(t, w.sink.endings())
		w.sink.setBusy(false)
		w.pass(time.Second)
		require.Contains(t, w.sink.endings(), uint64(2))
		_ = p
	})
}

// TestLevels lets following cost too much: the windows between which nothing is attached leave no process and no figure behind.
func TestLevels(t *testing.T) {
	in(t, budgeted, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		p := w.start()
		w.engine.Emit(create(2))
		w.settle()
		w.host.set(func(h *host) { h.looked.Live[lifecycle.Waiting] = 3 })
		w.overspend(p)
		require.Zero(t, w.engine.Attached())
		require.Equal(t, lifecycle.Unfollowed, w.sink.endings()[2])
		require.NotEmpty(t, w.sink.levels)
		all := w.collect()
		require.Len(t, all, 1)
		require.EqualValues(t, 3, all[0].Counts.Live[lifecycle.Waiting])
		require.Positive(t, all[0].Counts.Transitions, "what was seen in the window is lost")

		for range 100 {
			w.pass(time.Second)
			w.host.set(func(h *host) { h.cpu += time.Second })
		}
		require.Equal(t, 1, w.engine.Attached(), "nothing is attached again")
		require.NotNil(t, w.engine.Process(pid))
		require.GreaterOrEqual(t, w.collect()[0].Counts.Transitions, all[0].Counts.Transitions)
	})
}

func budgeted(o *Options) { o.Overhead = overhead.Limits{Budget: 0.05} }

// overspend lets a process be slowed down until its executable is not attached any more.
func (w *world) overspend(p *enginefake.Process) {
	w.t.Helper()
	for range 200 {
		w.host.set(func(h *host) { h.cpu += 100 * time.Millisecond })
		p.Count(lifecycle.Counts{Transitions: 80_000})
		w.pass(100 * time.Millisecond)
		if w.engine.Attached() == 0 {
			return
		}
	}
	w.t.Fatal("the executable stays attached, whatever that costs")
}

// TestNoLevelWithoutReason has system calls left out from the start: nothing is detached for that.
func TestNoLevelWithoutReason(t *testing.T) {
	in(t, func(o *Options) { budgeted(o); o.Syscalls = false }, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Second)
		require.Equal(t, 1, w.engine.Calls("Attach"))
	})
}

func TestReattachFails(t *testing.T) {
	in(t, budgeted, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		p := w.start()
		w.engine.Script("Attach", enginefake.Step{Err: errScripted})
		w.overspend(p)
		for range 100 {
			w.pass(time.Second)
			w.host.set(func(h *host) { h.cpu += time.Second })
		}
		require.ErrorIs(t, w.registry.refusal(pid), errScripted)
	})
}

// TestReattachWhenTheEngineIsFirst lets the engine follow a process by itself when its executable is attached again, before the session asks
// for it, and says so before or after the session is told that it is first.
func TestReattachWhenTheEngineIsFirst(t *testing.T) {
	for name, toldFirst := range map[string]bool{"told at once": true, "told later": false} {
		t.Run(name, func(t *testing.T) {
			in(t, budgeted, func(t *testing.T, w *world) {
				w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
				w.overspend(w.start())
				follows := make(chan struct{})
				w.engine.Script("Follow", enginefake.Step{Wait: follows, Err: engine.ErrFollowed})
				for w.engine.Attached() == 0 {
					w.pass(time.Second)
				}
				w.pass(time.Second)
				arrive := func() {
					w.engine.Arrive(pid)
					w.engine.Emit(create(9))
					w.settle()
				}
				if toldFirst {
					arrive()
				}
				close(follows)
				w.settle()
				if !toldFirst {
					arrive()
				}
				require.NotNil(t, w.engine.Process(pid), "the process is not followed any more, though the probes are attached")
				w.engine.Emit(exit(9))
				w.settle()
				require.Equal(t, lifecycle.Exit, w.sink.endings()[9], "the first goroutine is lost")
				require.Zero(t, w.engine.Newcomers())
			})
		})
	}
}

// TestExitWhileDetaching ends a process while its executable is being detached, which takes long.
func TestExitWhileDetaching(t *testing.T) {
	in(t, budgeted, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		p := w.start()
		w.engine.Emit(create(2))
		w.settle()
		closing := make(chan struct{})
		w.engine.Script("Attachment.Close", enginefake.Step{Wait: closing})
		for range 200 {
			w.host.set(func(h *host) { h.cpu += 100 * time.Millisecond })
			p.Count(lifecycle.Counts{Transitions: 80_000})
			w.pass(100 * time.Millisecond)
		}
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		w.registry.exit(pid)
		w.settle()
		require.Empty(t, w.collect(), "its last figures are not known yet")
		close(closing)
		w.pass(time.Second)
		last := w.collect()
		require.Len(t, last, 1)
		require.Positive(t, last[0].Counts.Transitions)
		require.Nil(t, w.engine.Process(pid))
	})
}

// TestCPU has what the process gets of CPUs in its stats, in the last ones too.
func TestCPU(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.start()
		one := func() telemetry.ProcessStats {
			all := w.collect() // which takes some
			require.Len(t, all, 1)
			require.NotNil(t, all[0].CPU)
			return all[0]
		}
		first := one().CPU
		now := first
		for now.User+now.System == first.User+first.System {
			now = one().CPU
		}
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		w.registry.exit(pid)
		w.settle()
		last := one()
		require.True(t, last.Last)
		require.GreaterOrEqual(t, last.CPU.User+last.CPU.System, now.User+now.System)
	})
}

func TestCollectErrors(t *testing.T) {
	in(t, func(o *Options) { o.BlockedAfter = time.Minute }, func(t *testing.T, w *world) {
		w.start()
		w.engine.Script("Distributions", enginefake.Step{Err: errScripted})
		_, err := w.Collect(t.Context())
		require.ErrorIs(t, err, errScripted)
		w.engine.Script("Goroutines", enginefake.Step{Err: errScripted})
		all, err := w.Collect(t.Context())
		require.ErrorIs(t, err, errScripted)
		require.Len(t, all, 1, "counts are lost as goroutines cannot be counted one by one")
	})
}

// TestCollectWhileAProcessHangs looks at a process whose memory nobody provides: others have their stats, and it has them later.
func TestCollectWhileAProcessHangs(t *testing.T) {
	in(t, budgeted, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		w.overspend(w.start())
		other := server
		other.PID, other.File = pid+1, 2
		w.registry.run(other)
		w.pass(scanInterval)
		hangs := make(chan struct{})
		w.host.set(func(h *host) { h.looking = hangs })
		for range 2 {
			all, err := w.Collect(t.Context())
			require.ErrorIs(t, err, errLooking)
			require.Len(t, all, 1)
		}
		close(hangs)
		require.Len(t, w.collect(), 2)
	})
}

func TestBlocked(t *testing.T) {
	in(t, func(o *Options) { o.BlockedAfter = time.Nanosecond }, func(t *testing.T, w *world) {
		w.host.living = []snapshot.Goroutine{{G: 1 << 8, GoID: 1, State: lifecycle.Waiting, WaitReason: 5, CreationPC: 9}}
		w.start()
		time.Sleep(time.Millisecond)
		all := w.collect()
		require.Equal(t, map[waitstats.Site]int64{{Reason: 5, CreationPC: 9}: 1}, all[0].Blocked)
		require.Len(t, all[0].Changes.Began, 1)
	})
}

// TestCreatorsOfTheBlocked has two sampled goroutines that wait at one place, another one at another, and one that does not wait.
func TestCreatorsOfTheBlocked(t *testing.T) {
	in(t, func(o *Options) { o.BlockedAfter = time.Nanosecond }, func(t *testing.T, w *world) {
		w.host.living = []snapshot.Goroutine{{G: 1 << 8, GoID: 1, State: lifecycle.Waiting, WaitReason: 5, CreationPC: 9}}
		w.start()
		for goid, of := range map[uint64]struct {
			creation uint64
			reason   uint8
			to       lifecycle.State
		}{2: {9, 5, lifecycle.Waiting}, 3: {9, 5, lifecycle.Waiting}, 4: {9, 6, lifecycle.Waiting}, 5: {8, 5, lifecycle.Waiting}, 6: {9, 5, lifecycle.Syscall}} {
			born, waits := create(goid), change(goid)
			born.CreationPC, born.CreatorStack = of.creation, []uint64{of.creation, 20}
			waits.From, waits.To, waits.ToReason = lifecycle.Running, of.to, of.reason
			w.engine.Emit(born, waits)
		}
		w.settle()
		time.Sleep(time.Millisecond)
		site := waitstats.Site{Reason: 5, CreationPC: 9}
		creators := w.collect()[0].Creators
		require.Len(t, creators, 1)
		require.Len(t, creators[site], 1)
		for creator, n := range creators[site] {
			require.Equal(t, []uint64{9, 20}, creator.PCs)
			require.EqualValues(t, 2, n)
		}
		require.Nil(t, w.collect()[0].Creators, "nothing is new")
	})
}

// TestEvents has one that cannot be read, and many more than a burst.
func TestEvents(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.start()
		w.engine.Script("Next", enginefake.Step{Err: errScripted})
		var all []lifecycle.Event
		for goid := range uint64(2 * burst) {
			all = append(all, create(goid+2), exit(goid+2))
		}
		w.engine.Emit(all...)
		w.settle()
		require.Len(t, w.sink.endings(), 2*burst)
		require.Equal(t, 1, w.logged("An event could not be read"))
		require.True(t, slices.ContainsFunc(w.log.All(), func(e observer.LoggedEntry) bool { return e.Level == zapcore.ErrorLevel }))
	})
}

// TestGivenProcessesOnly has processes that are named by their ids: nothing is put on others that run the same file, and another one that is
// named is included.
func TestGivenProcessesOnly(t *testing.T) {
	in(t, func(o *Options) { o.Newcomers = false }, func(t *testing.T, w *world) {
		w.start()
		require.Equal(t, [][]int{{pid}}, w.engine.AttachedTo())
		require.Zero(t, w.engine.Calls("FollowNewcomers"))
		other := server
		other.PID++
		w.registry.run(other)
		w.pass(scanInterval)
		require.Equal(t, [][]int{{pid, pid + 1}}, w.engine.AttachedTo())

		w.host.set(func(h *host) { h.goesOn = true })
		w.engine.Emit(processEvent(lifecycle.ProcessExited))
		w.settle()
		require.Equal(t, 3, w.engine.Calls("Include"), "the kernel must know the process by another thread")
	})
}

// TestOthersAreCharged lets only processes that are not followed be slowed down: the level falls for them too.
func TestOthersAreCharged(t *testing.T) {
	in(t, budgeted, func(t *testing.T, w *world) {
		w.engine.Cost = engine.Cost{Usual: time.Microsecond, Most: time.Microsecond}
		w.start()
		for range 200 {
			w.engine.HitOthers(80_000)
			w.pass(100 * time.Millisecond)
			if w.engine.Attached() == 0 {
				break
			}
		}
		require.Zero(t, w.engine.Attached())
		require.Equal(t, overhead.Unfollowed.String(), w.sink.levels[0].Reason)
	})
}
