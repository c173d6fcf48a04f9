//go:build linux

package trampoline

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Attachment is what is known of one executable whose processes can be followed. It implements engine.Attachment.
type Attachment struct {
	engine  *Engine
	binary  *goexe.Binary
	patches []goexe.Patch
	// seesItems tells that patches see each item of a channel that has a buffer.
	seesItems bool
	rules     *rules

	recorded recorded // by all its processes

	mu        sync.Mutex        // guards what follows
	processes map[*Process]bool // and whether their changes are recorded with stacks
	stacks    bool              // those of any of them are, or of the last one were
	closed    bool
}

// includeAny checks that one of some processes lives, if there are any.
func (a *Attachment) includeAny(pids []int) error {
	var errs []error
	for _, pid := range pids {
		err := a.Include(pid)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Include has nothing to do: a process is touched when it is followed.
func (a *Attachment) Include(pid int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return os.ErrClosed
	}
	if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	return nil
}

// Follow puts trampolines into a process and begins to follow it. Its error wraps *engine.Refusal if the process does not permit that.
func (a *Attachment) Follow(pid int, bias uint64, s engine.Settings) (engine.Process, error) {
	pidfd, err := openPidfd(pid)
	if err != nil {
		return nil, err
	}
	memory := newLiveMemory(pid, a.binary.Layout, a.engine.helpers.begin)
	p := &Process{engine: a.engine, attachment: a, machine: a.machine(memory, bias, s), memory: memory, pidfd: pidfd}
	p.seen.Store(true)
	if err := a.engine.reserve(p); err != nil {
		return nil, errors.Join(err, pidfd.Close())
	}
	if err := a.begin(p); err != nil {
		p.seen.Store(false)
		a.remove(p)
		a.engine.forget(p)
		return nil, fmt.Errorf("process %d: %w", pid, errors.Join(err, pidfd.Close()))
	}
	return p, nil
}

// begin lets a process be read that has its place.
func (a *Attachment) begin(p *Process) error {
	if err := a.add(p); err != nil {
		return err
	}
	source, err := a.install(p)
	if err != nil {
		return err
	}
	p.installed.Store(source.installed)
	p.mu.Lock()
	p.source = source
	a.recordsStacks(p, p.machine.wantsStacks())
	p.mu.Unlock()
	if a.isClosed() {
		return errors.Join(os.ErrClosed, p.remove())
	}
	a.engine.announce()
	a.engine.running.Go(p.watch)
	return nil
}

// machine returns one for a process of which nothing is known yet.
func (a *Attachment) machine(memory *liveMemory, bias uint64, s engine.Settings) machine {
	o := &a.engine.options
	m := machine{
		rules: a.rules, sampling: samplingOf(s), pid: memory.pid, bias: bias, memory: memory, threads: threads{memory: memory}, queue: a.engine.queue, recorded: &a.recorded,
		channels: map[uint64]*channel{}, goroutines: newTable(o.MaxGoroutinesPerProcess, &a.engine.room),
	}
	if o.ByFunction {
		m.figures.functions = map[uint64]lifecycle.Lives{}
	}
	m.figures.system = runs{}
	if o.RunTimes {
		m.figures.runs = runs{}
	}
	if o.ByLine && m.wantsStacks() {
		m.figures.lines = newLines(goexe.NewLeaves(a.binary, bias))
	}
	if o.Labels.Used() {
		g := a.binary.Layout.G
		m.labels = &labelling{known: map[uint64]*knownLabels{}, labelReader: labelReader{
			memory: memory, names: o.Labels, asMap: a.binary.Layout.Traits().LabelMap, labels: uint64(g.Labels), goid: uint64(g.Goid),
		}}
	}
	return m
}

func (a *Attachment) add(p *Process) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return os.ErrClosed
	}
	a.processes[p] = false
	return nil
}

// recordsStacks takes whether a process's changes are recorded with stacks from now on.
func (a *Attachment) recordsStacks(p *Process, are bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, is := a.processes[p]; !is {
		return
	}
	a.processes[p], a.stacks = are, false
	for _, with := range a.processes {
		a.stacks = a.stacks || with
	}
}

func (a *Attachment) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

func (a *Attachment) remove(p *Process) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.processes, p)
}

// FollowNewcomers has nothing to begin: a process is followed from when Follow is called.
func (a *Attachment) FollowNewcomers(engine.Settings) error { return nil }

// IgnoreNewcomers has nothing to end.
func (a *Attachment) IgnoreNewcomers() error { return nil }

// Accept is for processes that the engine follows by itself.
func (a *Attachment) Accept(int, engine.ID) (engine.Process, error) { return nil, errNoNewcomers }

// HitsOfOthers returns 0: no process is slowed that is not followed.
func (a *Attachment) HitsOfOthers() (uint64, error) { return 0, nil }

// HitCost returns what it costs a process to have a change of state recorded.
func (a *Attachment) HitCost() engine.Cost {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stacks {
		return a.engine.costs.of(0)
	}
	return a.engine.costs.of(a.recorded.share())
}

// Close puts the code of all processes back. What is known of them stays until they are left.
func (a *Attachment) Close() error {
	a.mu.Lock()
	a.closed = true
	processes := make([]*Process, 0, len(a.processes))
	for p := range a.processes {
		processes = append(processes, p)
	}
	clear(a.processes)
	a.mu.Unlock()
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.remove())
	}
	return errors.Join(errs...)
}
