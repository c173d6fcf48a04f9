package enginefake

import (
	"os"
	"slices"
	"sync"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Attachment is a scripted attachment.
type Attachment struct {
	engine *Engine
	pids   []int
	others uint64
}

// Include implements engine.Attachment.
func (a *Attachment) Include(pid int) error {
	err := a.engine.step("Include")
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	if err == nil && !a.engine.attachments[a] {
		return os.ErrClosed
	}
	if len(a.pids) > 0 && err == nil && !slices.Contains(a.pids, pid) {
		a.pids = append(a.pids, pid)
	}
	return err
}

// Follow implements engine.Attachment.
func (a *Attachment) Follow(pid int, _ uint64, _ engine.Settings) (engine.Process, error) {
	if err := a.engine.step("Follow"); err != nil {
		return nil, err
	}
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	if err := a.engine.refused[pid]; err != nil {
		return nil, err
	}
	if _, is := a.engine.newcomers[pid]; is || a.engine.processes[pid] != nil {
		return nil, engine.ErrFollowed
	}
	a.engine.next++
	return a.engine.add(pid, a.engine.next), nil
}

// add makes a process one that is followed.
func (e *Engine) add(pid int, id engine.ID) *Process {
	p := &Process{engine: e, pid: pid, id: id}
	e.processes[pid] = p
	return p
}

// FollowNewcomers implements engine.Attachment.
func (a *Attachment) FollowNewcomers(engine.Settings) error { return a.engine.step("FollowNewcomers") }

// IgnoreNewcomers implements engine.Attachment.
func (a *Attachment) IgnoreNewcomers() error { return a.engine.step("IgnoreNewcomers") }

// Accept implements engine.Attachment.
func (a *Attachment) Accept(pid int, id engine.ID) (engine.Process, error) {
	err := a.engine.step("Accept")
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	known := a.engine.newcomers[pid]
	delete(a.engine.newcomers, pid)
	switch {
	case err != nil:
		return nil, err
	case known != id:
		return nil, engine.ErrFollowed
	}
	return a.engine.add(pid, id), nil
}

// HitsOfOthers implements engine.Attachment.
func (a *Attachment) HitsOfOthers() (uint64, error) {
	err := a.engine.step("HitsOfOthers")
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	return a.others, err
}

// HitCost implements engine.Attachment.
func (a *Attachment) HitCost() engine.Cost { return a.engine.Cost }

// Close implements engine.Attachment.
func (a *Attachment) Close() error {
	err := a.engine.step("Attachment.Close")
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	delete(a.engine.attachments, a)
	return err
}

// Process is a scripted process.
type Process struct {
	engine *Engine
	pid    int
	id     engine.ID

	mu      sync.Mutex
	counts  lifecycle.Counts
	adopted []engine.Goroutine
	share   float64
	paused  bool // its events are
	dead    bool // all its goroutines
}

// Count adds to the process's counts.
func (p *Process) Count(n lifecycle.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := p.counts.Live
	p.counts.Add(n)
	p.counts.Live = live
}

// Execute lets the engine forget the process, as it does when that executes a program.
func (p *Process) Execute() {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	delete(p.engine.processes, p.pid)
}

// Bury makes all of its goroutines dead, as if the events that told so had been lost.
func (p *Process) Bury() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

// Adopted returns the goroutines that have been adopted.
func (p *Process) Adopted() []engine.Goroutine {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.adopted)
}

// Throttled returns which share of trees is left out.
func (p *Process) Throttled() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.share
}

// PauseEvents implements engine.EventPauser.
func (p *Process) PauseEvents(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
}

// Paused tells whether events are.
func (p *Process) Paused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}

// ID implements engine.Process.
func (p *Process) ID() engine.ID { return p.id }

// Followed implements engine.Process.
func (p *Process) Followed() bool {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	return p.engine.processes[p.pid] == p
}

// Counts implements engine.Process.
func (p *Process) Counts() (lifecycle.Counts, error) {
	err := p.engine.step("Counts")
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts, err
}

// Distributions implements engine.Process.
func (p *Process) Distributions() (engine.ProcessDistributions, error) {
	return engine.ProcessDistributions{}, p.engine.step("Process.Distributions")
}

// AsSeen implements engine.Process.
func (p *Process) AsSeen(g engine.Goroutine) engine.Goroutine { return g }

// Adopt implements engine.Process.
func (p *Process) Adopt(g engine.Goroutine) (bool, error) {
	if err := p.engine.step("Adopt"); err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.adopted = append(p.adopted, g)
	p.counts.Live[g.State]++
	return true, nil
}

// Repair implements engine.Process.
func (p *Process) Repair(_ int64, living []engine.Goroutine) (int, error) {
	return len(living), p.engine.step("Repair")
}

// Status implements engine.Process.
func (p *Process) Status(uint64, uint64) (alive bool, exited int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.dead, 0
}

// Throttle implements engine.Process.
func (p *Process) Throttle(share float64) error {
	p.mu.Lock()
	p.share = share
	p.mu.Unlock()
	return p.engine.step("Throttle")
}

// Unfollow implements engine.Process.
func (p *Process) Unfollow() error {
	err := p.engine.step("Unfollow")
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	if p.engine.processes[p.pid] == p {
		delete(p.engine.processes, p.pid)
	}
	return err
}
