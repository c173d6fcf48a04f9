//go:build linux

package trampoline

import (
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// event adds an event of a sampled goroutine to the queue. If there is no room, that is counted, on the goroutine too, and it returns nil.
func (m *machine) event(kind lifecycle.Kind, c *change, g *goroutine) *lifecycle.Event {
	vital := kind == lifecycle.Created || kind == lifecycle.Exited
	if m.onlyFigures() && !vital { // it is left out, not lost
		g.lost++
		return nil
	}
	e := m.queue.add(vital)
	if e == nil {
		m.figures.counts.EventsLost++
		g.lost++
		return nil
	}
	*e = lifecycle.Event{
		Kind: kind, Time: c.now, Since: g.since, PID: m.pid, TID: m.threads.id(c.M), G: c.G, GoID: g.goid,
		From: g.state, To: c.to, FromReason: g.reason, ToReason: c.reason, Lost: g.lost,
		System: g.system, Preexisting: g.preexisting, Root: g.root, Labelled: g.labels != 0,
	}
	g.lost = 0
	return e
}

// tellCreation tells the first that is told of a goroutine. Without, it cannot be told of: if there is no room, it is not sampled.
func (m *machine) tellCreation(c *change, g *goroutine, parent uint64) {
	e := m.event(lifecycle.Created, c, g)
	if e == nil {
		g.sampled = false
		m.labels.release(g) // it is not heard of any more when it has others
		return
	}
	e.Parent, e.StartPC, e.CreationPC = parent, g.startPC, g.creationPC
	e.ParentGoID = m.goid(parent)
	if stack := engine.CreatorStack(c.Stack, g.creationPC); parent != 0 && len(stack) > 0 {
		e.CreatorStack = m.queue.keep(stack[:min(len(stack), stackFrames)])
	}
}

// goid returns the id of the goroutine that has a g, 0 if it is not known.
func (m *machine) goid(g uint64) uint64 {
	if g == 0 {
		return 0
	}
	if known := m.goroutines.find(g); known != nil && known.goid != 0 {
		return known.goid
	}
	return m.memory.goid(g)
}

// tellChange tells of a change between two states of a living goroutine.
func (m *machine) tellChange(c *change, g *goroutine) {
	e := m.event(lifecycle.Transition, c, g)
	if e == nil {
		return
	}
	if g.state == lifecycle.Waiting && c.to == lifecycle.Runnable {
		// A coroutine is still the current goroutine when it makes itself runnable again: nobody woke it.
		if waker := m.threads.runs(c.M); waker != c.G {
			e.Waker, e.WakerGoID = waker, m.goid(waker)
		}
		e.Channel, e.BufferSize = c.Channel, c.BufferSize
	}
	if m.blocks(c, g) {
		e.Stack = m.queue.keep(c.Stack[:min(len(c.Stack), stackFrames)])
	}
}

// blocks tells whether a goroutine runs and will not until something happens; one that was preempted for a look at its stack is where it happened to
// be.
func (m *machine) blocks(c *change, g *goroutine) bool {
	return g.state == lifecycle.Running && (c.to == lifecycle.Syscall || c.to == lifecycle.Waiting && c.reason != m.preemptedReason)
}

// tellExit tells of the end of a life.
func (m *machine) tellExit(c *change, g *goroutine) {
	if g.unread {
		m.figures.counts.LabelsMissed++
	}
	e := m.event(lifecycle.Exited, c, g)
	if e == nil {
		return
	}
	for i := range g.time {
		e.Totals[i+1] = lifecycle.Total{Count: g.count[i], Nanoseconds: g.time[i]}
	}
}
