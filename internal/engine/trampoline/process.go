//go:build linux

package trampoline

import (
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/inject"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Process is one whose goroutines are followed. It implements engine.Process.
type Process struct {
	engine     *Engine
	attachment *Attachment
	id         engine.ID
	seen       atomic.Bool // it runs what it was followed with, as far as was noticed
	// installed is what it was patched with, nil until then.
	installed atomic.Pointer[inject.Installed]
	// removing is held by who takes the trampolines away or lets go of them, before mu.
	removing sync.Mutex

	mu      sync.Mutex // guards what follows
	machine machine
	memory  *liveMemory
	silent  bool     // the memory was told not to answer
	source  *source  // nil once nothing more is recorded
	pidfd   *os.File // by which the end of the process is waited for
	last    lifecycle.Counts
	left    bool
}

// ID names the process among all that the engine follows.
func (p *Process) ID() engine.ID { return p.id }

// Followed tells whether the process is still followed, and has not executed another program. Others may know of an execution before the
// reader finds the memory gone.
func (p *Process) Followed() bool {
	i := p.installed.Load()
	return p.seen.Load() && (i == nil || !i.Gone())
}

// Counts reads the process's counts. With an error, it tells what it told last.
func (p *Process) Counts() (lifecycle.Counts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.countsNow(), nil
}

// countsNow returns the counts until now, or until the process was left. p.mu is held.
func (p *Process) countsNow() lifecycle.Counts {
	if p.left {
		return p.last
	}
	now := lifecycle.Now()
	p.catchUp()
	n := p.machine.figures.until(now)
	for s := range n.Time {
		n.Time[s] = max(n.Time[s], p.last.Time[s]) // a change before now may be told after it
	}
	p.last = n
	return n
}

// Distributions reads the process's own.
func (p *Process) Distributions() (engine.ProcessDistributions, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return engine.ProcessDistributions{}, nil
	}
	p.catchUp()
	return p.machine.figures.distributions(), nil
}

// AsSeen returns a goroutine as the engine would see it.
func (p *Process) AsSeen(g engine.Goroutine) engine.Goroutine { return p.machine.asSeen(g) }

// Adopt makes a goroutine known that existed before the process was followed.
func (p *Process) Adopt(k engine.Goroutine) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return false, os.ErrClosed
	}
	p.catchUp()
	return p.machine.adopt(k)
}

// Repair puts right what is known of the process's goroutines by those that live.
func (p *Process) Repair(at int64, living []engine.Goroutine) (wrong int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return 0, os.ErrClosed
	}
	p.catchUp()
	return p.machine.repair(at, living), nil
}

// Status tells of the goroutine that has g now.
func (p *Process) Status(g, goid uint64) (alive bool, exited int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.status(g, goid)
}

// Throttle leaves out a share of the trees that would be sampled of those that begin from now on, from 0 to 1.
func (p *Process) Throttle(share float64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return os.ErrClosed
	}
	p.catchUp()
	p.machine.withheld = uint64(math.Round(share * float64(p.machine.below)))
	return nil
}

// PauseEvents has no events made of changes, and the trampolines record no more for them than for figures, or again what they did before.
func (p *Process) PauseEvents(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left || p.machine.paused == paused {
		return
	}
	p.catchUp()
	p.machine.paused = paused
	p.configure()
}

// Unfollow puts the process's code back and forgets all that is known of it.
func (p *Process) Unfollow() error {
	err := p.remove()
	p.attachment.remove(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return err
	}
	p.countsNow()
	p.left = true
	p.machine.goroutines.free()
	p.machine.figures = figures{}
	p.engine.forget(p)
	return err
}

// remove lets nothing more be recorded, and reads what was.
func (p *Process) remove() error {
	p.removing.Lock()
	defer p.removing.Unlock()
	s := p.currentSource()
	if s == nil {
		return nil
	}
	err := s.remove()
	p.leave()
	if err != nil { // a thread does not stop, or a debugger has it
		p.engine.running.Go(func() { s.removeLater(p.engine.closed) })
		return fmt.Errorf("process %d: trampolines are removed later: %w", p.machine.pid, err)
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("process %d: %w", p.machine.pid, err)
	}
	return nil
}

func (p *Process) currentSource() *source {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.source
}

// leave reads what was recorded, for the last time. p.removing is held.
func (p *Process) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catchUp()
	p.source = nil
	p.seen.Store(false)
	_ = p.pidfd.Close() // nobody waits any more
}

// ringMemory returns how many bytes the process's rings take.
func (p *Process) ringMemory() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.source == nil {
		return 0
	}
	return p.source.memory.Geometry().Size()
}
