//go:build linux

package trampoline

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// Options say how the engine works.
type Options struct {
	engine.Options
	// FirstID is the lowest ID of a process: an engine beside this one may have those below.
	FirstID engine.ID
	// CPU is the share of one CPU that reading may take, over which no events are made; 0 sets no limit.
	CPU float64
	// ARM64 permits the engine on arm64, where it is not proven.
	ARM64 bool
	// Ready is called, by a goroutine that must not wait, when events have come for Next to read. It may be nil.
	Ready func()
}

// maxProcesses is how many can be followed at once.
const maxProcesses = 2048

// Engine implements engine.Engine.
type Engine struct {
	options Options
	clock   *clock
	costs   costs
	room    room
	helpers *helpers
	queue   *queue
	closing sync.Once
	closed  chan struct{}
	running sync.WaitGroup
	// summaries tells that no events are made but of what begins and ends: reading takes too long.
	summaries atomic.Bool
	hurry     chan struct{} // has room for one: there may be more to read than a moment ago

	mu        sync.Mutex // guards what follows
	processes map[engine.ID]*Process
	byPID     map[int]*Process
	next      engine.ID
	list      atomic.Pointer[[]*Process] // of processes, for the reader
}

// New returns an Engine. Its error wraps *engine.Refusal if this machine does not permit it.
func New(o Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	if err := ring.Usable(o.ARM64); err != nil {
		return nil, err
	}
	clock, err := newClock()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		options: o, clock: clock, costs: measureCosts(), helpers: newHelpers(), queue: newQueue(o.BufferSize, o.Ready), closed: make(chan struct{}), hurry: make(chan struct{}, 1),
		processes: map[engine.ID]*Process{}, byPID: map[int]*Process{}, next: o.FirstID,
	}
	e.room.left.Store(int64(o.MaxGoroutines))
	e.list.Store(&[]*Process{})
	e.running.Go(e.read)
	e.running.Go(e.watchExecutions)
	return e, nil
}

// Attach prepares an executable: nothing is done to a process before it is followed.
func (e *Engine) Attach(b *goexe.Binary, _ string, o engine.AttachOptions) (engine.Attachment, error) {
	if b.GOARCH != runtime.GOARCH {
		return nil, engine.Refuse(engine.RefusedArch, "a program for %s on %s", b.GOARCH, runtime.GOARCH)
	}
	patches, err := b.Patches()
	if err != nil {
		return nil, engine.Refuse(engine.RefusedCode, "%w", err)
	}
	channels, noChannels := b.ChannelPatches() // without them, what comes through buffers is not known
	patches = append(patches, channels...)
	a := &Attachment{engine: e, binary: b, patches: patches, seesItems: noChannels == nil, rules: rulesOf(b), processes: map[*Process]bool{}}
	return a, a.includeAny(o.PIDs)
}

// Next reads the next event into to.
func (e *Engine) Next(to *lifecycle.Event, until time.Time) (bool, error) {
	return e.queue.read(to, until), nil
}

// Wake makes a Next that waits return.
func (e *Engine) Wake() { e.queue.wake() }

// Distributions reads those of all processes that are followed.
func (e *Engine) Distributions() (engine.Distributions, error) {
	all := engine.Distributions{}
	for _, p := range *e.list.Load() {
		d, err := p.Distributions()
		if err != nil {
			return all, err
		}
		all[p.id] = d
	}
	return all, nil
}

// Goroutines calls visit with each goroutine that lives, of all processes, but for those of the runtime itself.
func (e *Engine) Goroutines(visit func(engine.ID, waitstats.Goroutine)) error {
	for _, p := range *e.list.Load() {
		p.goroutines(func(g waitstats.Goroutine) { visit(p.id, g) })
	}
	return nil
}

func (p *Process) goroutines(visit func(waitstats.Goroutine)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catchUp()
	p.machine.goroutines.each(func(g *goroutine) {
		if g.state != lifecycle.Dead && !g.system {
			visit(waitstats.Goroutine{G: g.g, GoID: g.goid, State: g.state, Reason: g.reason, Since: g.since, CreationPC: g.creationPC})
		}
	})
}

// errNoNewcomers is wrapped by errors about processes that the engine was said to follow by itself, which it never does.
var errNoNewcomers = errors.New("this engine follows no process by itself")

// Reject has nothing to end.
func (e *Engine) Reject(int, engine.ID) error { return errNoNewcomers }

// Release has nothing to end.
func (e *Engine) Release(int, engine.ID) error { return errNoNewcomers }

// Memory returns how many bytes the rings of all processes take.
func (e *Engine) Memory() (sum uint64) {
	for _, p := range *e.list.Load() {
		sum += p.ringMemory()
	}
	return sum
}

// Close ends reading. Attachments are closed before.
func (e *Engine) Close() error {
	e.closing.Do(func() { close(e.closed) })
	var errs []error
	for _, p := range *e.list.Load() {
		errs = append(errs, p.Unfollow())
	}
	e.running.Wait()
	return errors.Join(errs...)
}

// reserve gives a process that is not followed its place.
func (e *Engine) reserve(p *Process) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.byPID[p.machine.pid]; other != nil && other.Followed() {
		return fmt.Errorf("process %d: %w", p.machine.pid, engine.ErrFollowed)
	}
	if len(e.processes) >= maxProcesses {
		return fmt.Errorf("%w: processes", engine.ErrTooMany)
	}
	for e.processes[e.next] != nil || e.next < e.options.FirstID {
		e.next = max(e.next+1, e.options.FirstID)
	}
	p.id = e.next
	e.next++
	e.processes[p.id], e.byPID[p.machine.pid] = p, p
	return nil
}

// announce lets the reader read a process's records.
func (e *Engine) announce() {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*Process, 0, len(e.processes))
	for _, p := range e.processes {
		all = append(all, p)
	}
	e.list.Store(&all)
	select {
	case e.hurry <- struct{}{}:
	default:
	}
}

func (e *Engine) forget(p *Process) {
	e.mu.Lock()
	delete(e.processes, p.id)
	if e.byPID[p.machine.pid] == p {
		delete(e.byPID, p.machine.pid)
	}
	e.mu.Unlock()
	e.announce()
}
