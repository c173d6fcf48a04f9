//go:build linux

// Package session follows all processes that count, through an engine: it attaches what they run, brings their events to their goroutines,
// keeps what that costs them within the budget, and lets go of them when they end.
//
// One goroutine, the loop, owns all that is known of processes and goroutines. It never waits for a process, a file or a consumer: what
// may take long is done by workers, which post what they found to the loop. See ARCHITECTURE.md for who owns what.
package session

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// Options say what is followed and how.
type Options struct {
	// Syscalls attaches the probes that only see system calls.
	Syscalls bool
	// Newcomers lets the engine follow processes by itself that begin to run a known executable. Without, all processes that can count run
	// already, and the engine leaves all others alone.
	Newcomers bool
	// Trampolines says which processes are seen by trampolines.
	Trampolines Trampolines
	Settings    engine.Settings
	// FullStacks tells the whole stack of a goroutine that blocks.
	FullStacks bool
	Limits     lifecycle.Limits
	// SpansPerSecond is how many spans and log records of a process are made in a second: trees that begin while there are more are not
	// sampled; 0 sets no limit.
	SpansPerSecond int
	// Logged tells that each change of a sampled goroutine becomes a log record.
	Logged bool
	// Overhead is what following may cost.
	Overhead overhead.Limits
	// BlockedAfter is for how long a goroutine waits until it counts as blocked; 0 does not look at single goroutines at all.
	BlockedAfter time.Duration
	// ByLine tells apart at which lines sampled goroutines wait, where the engine does not do so for all.
	ByLine bool
	// Collected tells that somebody calls Collect, so that the last stats of processes that have ended are kept for the next call.
	Collected bool
	// Resource describes a process.
	Resource func(processes.Process, *goexe.Binary) pcommon.Resource
	Logger   *zap.Logger
	// Followed is called with each process that begins to be followed.
	Followed func(processes.Process)
	// Refused is called with each process that stays with probes because it does not permit trampolines.
	Refused func(processes.Process, error)
}

// Sink takes what is seen. Its methods are called by one goroutine, and must not wait for anything.
type Sink interface {
	// Changed is called with each event of a goroutine, Ended with each life or segment of one that is over; both keep nothing of the
	// goroutine that they are given.
	Changed(*telemetry.Process, *lifecycle.Goroutine, *lifecycle.Event)
	Ended(*telemetry.Process, *lifecycle.Goroutine)
	// OnLevelChange is called with each change of how much is seen of a process.
	OnLevelChange(*telemetry.Process, telemetry.LevelChange)
	// Flush is called often, when what was gathered may be handed on. last says that nothing will come after it.
	Flush(last bool)
	// Busy tells whether so much waits that no new tree should be begun.
	Busy() bool
}

// Registry knows which processes count.
type Registry interface {
	// Scan looks at all processes.
	Scan(context.Context) (processes.Sight, error)
	// Look looks at one process, and tells whether it counts. Its error wraps processes.ErrNoAnswer if that is not known yet.
	Look(ctx context.Context, pid int) (processes.Process, bool, error)
	// Open opens an executable that a process runs.
	Open(processes.File) (*os.File, error)
	// Refuse remembers that a process cannot be followed, and why, RefuseFile that none that runs the same file can.
	Refuse(processes.Process, error)
	RefuseFile(processes.Process, error)
	// Close lets go of what it holds.
	Close()
}

// health is what the collector's own telemetry shows of the sessions.
type health struct {
	processes int
	counts    lifecycle.Counts
}

// Manager follows all processes that count.
type Manager struct {
	options  Options
	engine   engine.Engine
	sink     Sink
	registry Registry
	host     Host
	arbiter  *overhead.Arbiter

	ctx     context.Context // ends when no more processes are to be found
	stop    context.CancelFunc
	posted  chan func(*loop)
	looks   chan int // processes to be looked at by discover
	done    chan struct{}
	started atomic.Bool
	closed  error // of the engine; valid once done is closed
	health  atomic.Pointer[health]

	collector collector
}

// New returns a Manager that uses the engine, which it closes in Stop.
func New(o Options, e engine.Engine, r Registry, h Host, sink Sink) *Manager {
	if _, err := telemetry.BootID(); err != nil {
		o.Logger.Warn("Ids of traces will not be the same after a restart of the collector", zap.Error(err))
	}
	m := &Manager{
		options: o, engine: e, sink: sink, registry: r, host: h,
		arbiter: overhead.NewArbiter(o.Overhead.Host, overhead.Processors()),
		posted:  make(chan func(*loop), 64),
		looks:   make(chan int, 1024),
		done:    make(chan struct{}),
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.health.Store(&health{})
	m.collector = newCollector(m)
	return m
}

// Start begins to follow; the processes that run already are found in the background.
func (m *Manager) Start() {
	m.started.Store(true)
	go m.discover()
	go newLoop(m).run()
}

// Stop ends all sessions, hands on what is known of their goroutines, takes away what the engine has attached, and closes the engine. It
// returns when all that is done, or with an error when ctx ends: then the rest is done in the background.
func (m *Manager) Stop(ctx context.Context) error {
	if !m.started.Load() {
		m.stop()
		m.registry.Close()
		return m.engine.Close()
	}
	m.stop()
	m.engine.Wake()
	select {
	case <-m.done:
		return m.closed
	case <-ctx.Done():
		return fmt.Errorf("probes that could not be removed in time are removed when the collector's process ends, trampolines only idle then until a collector takes them over: %w", ctx.Err())
	}
}

// patienceForHealth is how long Health waits for the loop, which is hardly ever busy for so long.
const patienceForHealth = 200 * time.Millisecond

// Health returns how many processes are followed and, over all that ever were, what the engine has seen and lost.
func (m *Manager) Health() (processes int, sum lifecycle.Counts) {
	ctx, cancel := context.WithTimeout(m.ctx, patienceForHealth)
	defer cancel()
	m.ask(ctx, (*loop).publishHealth)
	now := m.health.Load()
	return now.processes, now.counts
}

// post has the loop call f soon. It reports false if the loop has ended.
func (m *Manager) post(f func(*loop)) bool {
	select {
	case m.posted <- f:
		m.engine.Wake()
		return true
	case <-m.done:
		return false
	}
}

// ask has the loop call f, and waits for that. It reports false, and f is not called, if the loop has ended or ctx ends before.
func (m *Manager) ask(ctx context.Context, f func(*loop)) bool {
	answered := make(chan struct{})
	var decided atomic.Bool // whether f is called
	if !m.post(func(l *loop) {
		if decided.CompareAndSwap(false, true) {
			f(l)
			close(answered)
		}
	}) {
		return false
	}
	select {
	case <-answered:
		return true
	case <-ctx.Done():
	case <-m.done:
	}
	if decided.CompareAndSwap(false, true) {
		return false
	}
	<-answered
	return true
}
