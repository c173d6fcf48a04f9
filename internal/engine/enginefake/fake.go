// Package enginefake is an engine for tests: it sees what the test says, and fails where the test wants it to.
package enginefake

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// Step is what one call of a method does before it does what it would without.
type Step struct {
	// Wait makes the call wait until it is closed, if it is not nil.
	Wait <-chan struct{}
	// Err is the call's error.
	Err error
}

// Engine is a scripted engine. Its zero value is not ready for use.
type Engine struct {
	// Cost is what HitCost of each attachment returns.
	Cost engine.Cost
	// Ready is called with each event that can be read, if it is not nil.
	Ready func()

	events chan lifecycle.Event
	wake   chan struct{}

	mu          sync.Mutex
	script      map[string][]Step
	calls       map[string]int
	attachments map[*Attachment]bool
	processes   map[int]*Process
	newcomers   map[int]engine.ID
	refused     map[int]error
	next        engine.ID
	closed      bool
}

// New returns an Engine that sees nothing. Its ids lie above after.
func New(after engine.ID) *Engine {
	return &Engine{
		next:   after,
		events: make(chan lifecycle.Event, 1<<16), wake: make(chan struct{}, 1),
		script: map[string][]Step{}, calls: map[string]int{}, attachments: map[*Attachment]bool{}, processes: map[int]*Process{}, newcomers: map[int]engine.ID{}, refused: map[int]error{},
	}
}

// Script says what the next calls of a method do, one after the other.
func (e *Engine) Script(method string, steps ...Step) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.script[method] = append(e.script[method], steps...)
}

// Refuse lets Follow of a process fail; not any more if the error is nil.
func (e *Engine) Refuse(pid int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused[pid] = err
}

// Calls returns how often a method has been called.
func (e *Engine) Calls(method string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[method]
}

// Emit lets the engine see something.
func (e *Engine) Emit(events ...lifecycle.Event) {
	for _, event := range events {
		e.events <- event
	}
	if e.Ready != nil {
		e.Ready()
	}
}

// Arrive lets the engine follow a process by itself, and see so.
func (e *Engine) Arrive(pid int) engine.ID {
	e.mu.Lock()
	e.next++
	id := e.next
	e.newcomers[pid] = id
	e.mu.Unlock()
	e.Emit(lifecycle.Event{Kind: lifecycle.ProcessFollowed, Time: time.Now().UnixNano(), PID: pid, G: uint64(id)})
	return id
}

// Process returns the process with an id that is followed, nil if there is none.
func (e *Engine) Process(pid int) *Process {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.processes[pid]
}

// Attached returns how many attachments there are.
func (e *Engine) Attached() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.attachments)
}

// AttachedTo returns the processes that each attachment is for alone; none of those that are for all.
func (e *Engine) AttachedTo() (all [][]int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for a := range e.attachments {
		all = append(all, slices.Clone(a.pids))
	}
	return all
}

// HitOthers lets processes be slowed down that are not followed.
func (e *Engine) HitOthers(hits uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for a := range e.attachments {
		a.others += hits
	}
}

// Newcomers returns how many processes the engine follows by itself that nobody has decided about.
func (e *Engine) Newcomers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.newcomers)
}

// Closed tells whether the engine is.
func (e *Engine) Closed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// step does what the script says about a call.
func (e *Engine) step(method string) error {
	e.mu.Lock()
	e.calls[method]++
	var s Step
	if steps := e.script[method]; len(steps) > 0 {
		s, e.script[method] = steps[0], steps[1:]
	}
	e.mu.Unlock()
	if s.Wait != nil {
		<-s.Wait
	}
	return s.Err
}

// Attach implements engine.Engine.
func (e *Engine) Attach(_ *goexe.Binary, _ string, o engine.AttachOptions) (engine.Attachment, error) {
	if err := e.step("Attach"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	a := &Attachment{engine: e, pids: slices.Clone(o.PIDs)}
	e.attachments[a] = true
	return a, nil
}

// Next implements engine.Engine.
func (e *Engine) Next(to *lifecycle.Event, until time.Time) (bool, error) {
	if err := e.step("Next"); err != nil {
		return false, err
	}
	select {
	case *to = <-e.events:
		return true, nil
	default:
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case *to = <-e.events:
		return true, nil
	case <-e.wake:
	case <-timer.C:
	}
	return false, nil
}

// Wake implements engine.Engine.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Distributions implements engine.Engine.
func (e *Engine) Distributions() (engine.Distributions, error) {
	if err := e.step("Distributions"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	all := engine.Distributions{}
	for _, p := range e.processes {
		all[p.id] = engine.ProcessDistributions{}
	}
	return all, nil
}

// Goroutines implements engine.Engine.
func (e *Engine) Goroutines(visit func(engine.ID, waitstats.Goroutine)) error {
	if err := e.step("Goroutines"); err != nil {
		return err
	}
	e.mu.Lock()
	processes := maps.Clone(e.processes)
	e.mu.Unlock()
	for _, p := range processes {
		for _, g := range p.Adopted() {
			visit(p.id, waitstats.Goroutine{G: g.G, GoID: g.GoID, State: g.State, Reason: g.Reason, Since: g.Since, CreationPC: g.CreationPC})
		}
	}
	return nil
}

// Reject implements engine.Engine.
func (e *Engine) Reject(pid int, _ engine.ID) error { return e.dismiss("Reject", pid) }

// Release implements engine.Engine.
func (e *Engine) Release(pid int, _ engine.ID) error { return e.dismiss("Release", pid) }

func (e *Engine) dismiss(method string, pid int) error {
	err := e.step(method)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.newcomers, pid)
	return err
}

// Memory implements engine.Engine.
func (e *Engine) Memory() uint64 { return 0 }

// Close implements engine.Engine.
func (e *Engine) Close() error {
	err := e.step("Close")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return err
}

var _ engine.Engine = (*Engine)(nil)
