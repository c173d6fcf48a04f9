// Package follow keeps the probes where the processes are: it finds the processes that count, attaches to what they run, brings
// their events to their goroutines, and lets go of them when they end.
package follow

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/census"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/survey"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// Options say what is followed and how.
type Options struct {
	Selection processes.Selection
	// Syscalls attaches the probes that only see system calls.
	Syscalls bool
	Settings engine.Settings
	Limits   lifecycle.Limits
	// SpansPerSecond is how many spans of a process are made in a second: trees that begin while there are more are not sampled; 0 sets no
	// limit.
	SpansPerSecond int
	// Overhead is what following may cost.
	Overhead overhead.Limits
	// BlockedAfter is for how long a goroutine waits until it counts as blocked; 0 does not look at single goroutines at all.
	BlockedAfter time.Duration
	// Resource describes a process.
	Resource func(processes.Process, *goexe.Binary) pcommon.Resource
	Logger   *zap.Logger
	// Problem is called with each process that cannot be followed, Followed with each that can.
	Problem  func(processes.Process, error)
	Followed func(processes.Process)
}

// Sink takes what is seen.
type Sink interface {
	// Changed is called with each event of a goroutine, Ended with each life or segment of one that is over; both are called by one
	// goroutine, and keep nothing of the goroutine that they are told of.
	Changed(*telemetry.Process, *lifecycle.Goroutine, *lifecycle.Event)
	Ended(*telemetry.Process, *lifecycle.Goroutine)
	// Leveled is called, by the same goroutine, with each change of how much is seen of a process.
	Leveled(*telemetry.Process, telemetry.LevelChange)
	// Flush is called often, by the same goroutine, when what was gathered may be handed on; it never waits. last says that nothing will
	// come after it.
	Flush(last bool)
	// Busy tells whether more is gathered than is taken: then no new trees are sampled.
	Busy() bool
}

// Follower follows all processes that match.
type Follower struct {
	options Options
	engine  engine.Engine
	sink    Sink
	arbiter *overhead.Arbiter
	found   *processes.Registry
	bootID  string
	known   goexe.Cache
	teller  teller // used by Figures only

	started  chan execution
	stop     chan struct{}
	stopOnce sync.Once
	running  sync.WaitGroup
	closing  sync.WaitGroup
	drained  uint64 // how often the ring buffer was read until it was empty; used by read only

	mu        sync.Mutex       // guards what follows
	ended     []life           // not yet handed to the sink
	left      []processes.File // executables of processes that were left since
	changes   []levelChange    // not yet handed to the sink
	processes map[int]*process
	programs  map[processes.File]*program
	attaching map[processes.File][]processes.Process // that wait for the probes
	finished  []telemetry.Figures
	retired   lifecycle.Counts
}

// execution is the moment, in ns of CLOCK_MONOTONIC, at which a process began to run another program.
type execution struct {
	pid int
	at  int64
}

// process is a followed process.
type process struct {
	processes.Process
	program      *program
	probe        engine.Process // nil while its program has no probes
	began        moment         // when it got its probe
	past         history
	look         *survey.Look // counts for Figures only
	measured     moment       // when it was last looked at what probes cost it, and after how many hits
	measuredHits uint64
	tracker      *lifecycle.Tracker
	telemetry    *telemetry.Process
	since        int64 // when it was followed first
	watch        census.Watch
	gone         bool   // at the last sweep
	lost         uint64 // events
	missed       uint64 // changes of state
	crowded      bool   // there were more goroutines than there is room for
	allowance    allowance
	muted        bool // new trees are not sampled
	wasMuted     bool
	bias         uint64
}

// life is one that is over, or a segment of one.
type life struct {
	of        *telemetry.Process
	goroutine *lifecycle.Goroutine
}

func (f *Follower) end(p *process, goroutines ...*lifecycle.Goroutine) {
	for _, g := range goroutines {
		p.allowance.spend(1 + len(g.Slices))
		f.ended = append(f.ended, life{p.telemetry, g})
	}
}

// New returns a Follower that uses the engine, which it closes in Stop.
func New(o Options, e engine.Engine, sink Sink) *Follower {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		o.Logger.Warn("Ids of traces will not be the same after a restart of the collector", zap.Error(err))
	}
	f := &Follower{
		options:   o,
		engine:    e,
		sink:      sink,
		arbiter:   overhead.NewArbiter(o.Overhead.Host, overhead.Processors()),
		bootID:    strings.TrimSpace(string(boot)),
		started:   make(chan execution, 1024),
		stop:      make(chan struct{}),
		processes: map[int]*process{},
		programs:  map[processes.File]*program{},
		attaching: map[processes.File][]processes.Process{},
	}
	f.found = processes.New(processes.Options{Selection: o.Selection, Logger: o.Logger, OnProblem: f.fail})
	f.teller = teller{take: f.takeTally, start: f.running.Go}
	return f
}

// Start begins to follow; the processes that run already are attached to in the background.
func (f *Follower) Start() {
	f.running.Go(f.discover)
	f.running.Go(f.read)
}

// Stop detaches all probes, ends all lives that are open and returns when nothing runs any more.
func (f *Follower) Stop() error {
	var err error
	f.stopOnce.Do(func() {
		close(f.stop)
		f.running.Wait()
		f.mu.Lock()
		now := lifecycle.Now()
		for pid := range f.processes {
			f.leave(pid, now, lifecycle.Unfollowed)
		}
		f.mu.Unlock()
		f.handOn()
		f.sink.Flush(true)
		f.mu.Lock()
		f.closeIdle(0)
		f.mu.Unlock()
		f.closing.Wait()
		f.found.Close()
		err = f.engine.Close()
	})
	return err
}

// sweepInterval is the safety net under the events of processes that begin and end.
const sweepInterval = 2 * time.Second

func (f *Follower) discover() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	f.sweep()
	for {
		select {
		case <-f.stop:
			return
		case e := <-f.started:
			f.executed(e)
		case <-tick.C:
			f.sweep()
		}
	}
}

// sweep looks at all processes.
func (f *Follower) sweep() {
	seen, err := f.found.Scan(context.Background())
	if err != nil {
		f.options.Logger.Warn("Cannot list the processes", zap.Error(err))
		return
	}
	f.mu.Lock()
	for pid, p := range f.processes {
		now, lives := seen.Live[pid]
		if !lives || now.Known() && !now.Same(p.Process) {
			f.lose(p)
		} else {
			p.gone = false
		}
	}
	f.mu.Unlock()
	for _, p := range seen.Found {
		f.consider(p, 0)
	}
}

// lose leaves a process that is not there at two sweeps. At the first, events of its last moments, and of its end itself, may still lie
// in the ring buffer.
func (f *Follower) lose(p *process) {
	if p.gone {
		f.leave(p.PID, lifecycle.Now(), lifecycle.ProcessExit)
	}
	p.gone = true
}

// executed considers a process that began to run another program at a time.
func (f *Follower) executed(e execution) {
	p, counts, err := f.found.Look(context.Background(), e.pid)
	f.mu.Lock()
	if known := f.processes[e.pid]; known != nil && (err != nil || !counts) {
		f.leave(e.pid, lifecycle.Now(), lifecycle.ProcessExit)
	}
	f.mu.Unlock()
	if err == nil && counts {
		f.consider(p, e.at)
	}
}

// consider follows a process that counts if it is not followed yet. executed is when it began to run another program, 0 if it is not
// known to have done so.
func (f *Follower) consider(p processes.Process, executed int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.processes[p.PID]; known != nil {
		same := known.StartTime == p.StartTime && known.File == p.File
		if executed == 0 || same && (executed < known.since || f.overtakes(known, p, executed)) {
			return
		}
		f.leave(p.PID, lifecycle.Now(), lifecycle.ProcessExit)
	}
	if f.programs[p.File] == nil {
		f.attach(p)
		return
	}
	if err := f.join(p, lifecycle.Now(), f.follow); err != nil {
		f.refuse(p, err)
	}
}

// overtakes tells whether a process was followed only after it had executed its file again, at a time: the kernel forgets processes that
// execute. Then its goroutines are the right ones, and what was read of the process before is brought up to date.
func (f *Follower) overtakes(known *process, p processes.Process, executed int64) bool {
	if known.probe == nil || !known.probe.Followed() {
		return false
	}
	if bias, err := p.Bias(known.program.binary.Base); err != nil || bias != known.bias {
		return false
	}
	known.Process, known.since = p, executed+1
	known.telemetry = f.telemetryOf(p, known.program, known.bias)
	return true
}

// telemetryOf returns what is told of all goroutines of a process.
func (f *Follower) telemetryOf(p processes.Process, program *program, bias uint64) *telemetry.Process {
	identity := telemetry.Identity{BootID: f.bootID, PID: p.PID, StartTime: p.StartTime}
	return telemetry.NewProcess(identity, f.options.Resource(p, program.binary), f.told(program.binary), bias)
}

// follow begins to follow a process that runs already, if there are probes.
func (f *Follower) follow(p *process) (err error) {
	if p.program.attachment == nil {
		return nil
	}
	p.began = momentOf(p.PID)
	p.probe, err = p.program.attachment.Follow(p.PID, p.bias, f.options.Settings)
	return err
}

// welcome takes a process that the kernel has begun to follow by itself, at its first change of state, if it counts.
func (f *Follower) welcome(e *lifecycle.Event) error {
	slot := engine.ID(e.G)
	if known := f.processes[e.PID]; known != nil {
		if known.probe == nil || known.probe.Followed() { // its probes are being removed, or two of its threads were there first
			return f.engine.Release(e.PID, slot)
		}
		f.leave(e.PID, e.Time, lifecycle.ProcessExit)
	}
	p, counts, err := f.found.Look(context.Background(), e.PID)
	if err != nil || !counts {
		return f.engine.Reject(e.PID, slot)
	}
	if f.programs[p.File] == nil { // its probes are being removed
		f.attach(p)
		return f.engine.Release(e.PID, slot)
	}
	if f.programs[p.File].attachment == nil { // as the budget demands
		return errors.Join(f.engine.Release(e.PID, slot), f.join(p, e.Time, f.follow))
	}
	accepting := false
	if err := f.join(p, e.Time, func(p *process) (err error) {
		accepting = true
		p.began = moment{at: e.Time}
		p.probe, err = p.program.attachment.Accept(p.PID, slot)
		return err
	}); err != nil {
		f.refuse(p, err)
		if !accepting { // the slot is still the process's
			return f.engine.Reject(e.PID, slot)
		}
	}
	return nil
}

// refuse remembers why a process cannot be followed.
func (f *Follower) refuse(p processes.Process, err error) {
	if !errors.Is(err, engine.ErrFollowed) { // then an event is to come that tells that the kernel follows it already
		f.found.Refuse(p, err)
	}
}

func (f *Follower) fail(p processes.Process, err error) {
	f.options.Logger.Warn("Process cannot be followed", zap.Int("pid", p.PID), zap.String("executable", p.Executable), zap.Error(err))
	f.options.Problem(p, err)
}

// join adds a process whose executable has its probes, and that is followed since a time, in the way that begin knows.
func (f *Follower) join(p processes.Process, since int64, begin func(*process) error) (err error) {
	program := f.programs[p.File]
	program.users++
	defer func() {
		if err != nil {
			f.detach(p.File)
		}
	}()
	bias, err := p.Bias(program.binary.Base)
	if err != nil {
		return err
	}
	joined := &process{
		Process:   p,
		program:   program,
		tracker:   lifecycle.NewTracker(f.options.Limits),
		telemetry: f.telemetryOf(p, program, bias),
		bias:      bias,
		look:      survey.NewLook(p.PID, program.binary, bias),
		since:     since,
		allowance: newAllowance(f.options.SpansPerSecond, lifecycle.Now()),
	}
	joined.measured = momentOf(p.PID)
	if err := f.begin(joined, begin); err != nil {
		return err
	}
	f.processes[p.PID], program.processes[p.PID] = joined, joined
	f.options.Logger.Info("Following process", zap.Int("pid", p.PID), zap.String("executable", p.Executable),
		zap.String("go", program.binary.GoVersion), zap.Int("probes", len(program.binary.Sites)))
	f.options.Followed(p)
	return nil
}

// begin begins a stretch of following a process, in the way that get knows.
func (f *Follower) begin(p *process, get func(*process) error) error {
	if err := get(p); err != nil || p.probe == nil {
		return err
	}
	p.lost, p.missed = 0, 0
	p.past.resume(p.began)
	f.withhold(p)
	err := f.adopt(p)
	if !p.probe.Followed() { // it has executed its file again meanwhile: what was found may be the next program's
		p.tracker = lifecycle.NewTracker(f.options.Limits)
	}
	f.withhold(p)
	if err != nil {
		f.options.Logger.Warn("Goroutines that the process has already are followed from their next change of state on",
			zap.Int("pid", p.PID), zap.Error(err))
	}
	return nil
}

// told returns what telemetry needs of a binary.
func (f *Follower) told(b *goexe.Binary) telemetry.Program {
	return telemetry.Program{Symbols: b, WaitReasons: b.WaitReasons, FullStacks: f.options.Settings.Stacks == engine.FullStack}
}

// leave ends all that is known of a process. Its executable is let go of when its goroutines, whose names it holds, have been told.
func (f *Follower) leave(pid int, at int64, why lifecycle.Ending) {
	p := f.processes[pid]
	delete(f.processes, pid)
	delete(p.program.processes, pid)
	if p.probe != nil {
		f.halt(p, f.distributions(), at, why)
	} else {
		p.past.resume(momentOf(pid))
	}
	f.retire(p, at)
	f.left = append(f.left, p.File)
}
