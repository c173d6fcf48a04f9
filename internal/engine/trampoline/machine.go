//go:build linux

package trampoline

import (
	"math/rand/v2"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// machine is the state machine of a process's goroutines: it makes exact figures of all changes, and events of those of sampled goroutines. It
// does what the kernel's engine does in bpf/lives.h, and allocates nothing for a change.
type machine struct {
	*rules
	sampling
	pid  int
	bias uint64

	goroutines table
	figures    figures
	threads    threads
	memory     memory
	labels     *labelling // nil if labels are not looked for
	queue      *queue
	channels   map[uint64]*channel // whose items are followed, by their addresses
	buffers    uint64              // how many items they can hold
	missed     missed
	itemsSent  uint64
	// summaries tells that only figures are made as reading takes too long, paused that they are because of what records cost the process: no tree
	// is sampled, and no event made but of beginnings and ends.
	summaries, paused bool

	taken, withStack uint64    // records of a pass, and those with a stack
	recorded         *recorded // their sums
}

// onlyFigures tells whether no tree is sampled, and no event made but of beginnings and ends.
func (m *machine) onlyFigures() bool { return m.summaries || m.paused }

// tells tells whether events are made of changes.
func (m *machine) tells() bool { return m.below > 0 && !m.onlyFigures() }

// wantsStacks tells whether changes are to be recorded with stacks.
func (m *machine) wantsStacks() bool { return m.stacks && m.tells() }

// change is one of state on its way through the machine.
type change struct {
	*ring.Record
	now      int64
	from, to lifecycle.State
	reason   uint8
}

// take takes a change of status, which happened at a time in ns of CLOCK_MONOTONIC.
func (m *machine) take(r *ring.Record, now int64) {
	m.taken++
	if len(r.Stack) > 0 {
		m.withStack++
	}
	c := change{Record: r, now: now, from: m.states[r.Old&15], to: m.states[r.New&15]}
	if !m.isChange(&c) {
		m.figures.counts.Ignored++
		m.noteLabels(&c)
		return
	}
	m.apply(&c)
	if m.below > 0 {
		m.threads.ran(&c)
	}
}

// isChange tells whether a change of status is one of state. One to waiting gets its reason here.
func (m *machine) isChange(c *change) bool {
	if c.from == c.to || c.from >= lifecycle.States || c.to >= lifecycle.States {
		return false
	}
	if c.to != lifecycle.Waiting {
		return true
	}
	c.reason = c.Reason
	if c.New == m.preempted {
		c.reason = m.preemptedReason
	}
	return c.from != lifecycle.Running || !m.keeps[c.reason]
}

func (m *machine) apply(c *change) {
	g := m.goroutines.find(c.G)
	if g != nil && g.state == c.to {
		m.figures.counts.Repeats++
		return
	}
	m.figures.counts.Transitions++
	if g != nil {
		c.now = max(c.now, g.since) // clocks of two CPUs agree to some 10 ns only
	}
	lives := g != nil && g.state != lifecycle.Dead
	switch {
	case lives && c.from != lifecycle.Dead:
		m.changeState(c, g)
	case c.to != lifecycle.Dead:
		if lives {
			m.forget(g)
		}
		m.beginLife(c, g)
	case g == nil:
		m.buryUnknown(c)
	}
}

// forget ends the goroutine before a new one in the same g, which was not seen to exit: nobody knows how long it was in its last state.
func (m *machine) forget(g *goroutine) {
	m.labels.release(g)
	m.figures.counts.Resynchronized++
	if g.system {
		return
	}
	m.figures.leave(g.state, g.since)
	m.figures.counts.Exited++
}

// buryUnknown remembers that a goroutine exited before it became known: who has read of it in the process's memory before must not believe
// that it lives.
func (m *machine) buryUnknown(c *change) {
	if g := m.goroutines.insert(c.G); g != nil {
		g.created, g.since, g.preexisting = c.now, c.now, true
		return
	}
	m.figures.counts.Untracked++
}

// beginLife makes a goroutine known that was created just now, or that is seen for the first time.
func (m *machine) beginLife(c *change, g *goroutine) {
	fresh := goroutine{g: c.G, created: c.now, since: c.now, state: c.to, reason: c.reason, preexisting: c.from != lifecycle.Dead}
	fresh.enter(c.to)
	parent := m.origin(c, &fresh)
	fresh.system = m.system[fresh.startPC-m.bias]
	if m.below > 0 {
		m.sample(c, &fresh, parent)
	}
	if g == nil {
		if g = m.goroutines.insert(c.G); g == nil {
			m.figures.counts.Untracked++
			return
		}
	}
	*g = fresh
	if !g.system {
		m.figures.enter(c.to, c.now)
		if !g.preexisting {
			m.figures.counts.Created++
			m.figures.lives(g.startPC, 1, 0)
		}
	}
	if g.sampled {
		m.tellLabels(c, g, parent)
		m.tellCreation(c, g, parent)
	}
}

// origin finds out how a goroutine came to be, and returns its creator's g, 0 if there is none or it is not known.
func (m *machine) origin(c *change, g *goroutine) (parent uint64) {
	if !c.Created {
		g.goid = c.GoID
		if o, ok := m.memory.origin(c.G, c.GoID); ok {
			g.startPC, g.creationPC = o.startPC, o.goPC
		}
		return 0
	}
	g.startPC, g.creationPC = c.StartPC, c.CreationPC
	if !m.staleGoID {
		g.goid = c.GoID
	}
	if c.ParentG == c.G { // the goroutine of a thread that C made
		return 0
	}
	return c.ParentG
}

// sample decides about a goroutine. A tree is sampled as a whole: what a short-lived creator spawns shares its lot.
func (m *machine) sample(c *change, g *goroutine, parent uint64) {
	if p := m.goroutines.find(parent); p != nil && parent != 0 && !g.preexisting && !p.system && !p.preexisting && c.now-p.created <= m.rootAge {
		g.sampled = p.sampled
		return
	}
	g.root = true
	draw := uint64(rand.Uint32())
	switch {
	case draw >= m.below:
	case draw < m.withheld, m.onlyFigures(), m.queue.busy():
		m.figures.counts.TreesWithheld++
	default:
		g.sampled = true
	}
}

// changeState moves a goroutine on that lives.
func (m *machine) changeState(c *change, g *goroutine) {
	if g.goid == 0 {
		g.goid = c.GoID
	}
	if m.lateReasons && g.state == lifecycle.Waiting && c.from == lifecycle.Waiting && c.to == lifecycle.Running {
		m.takeBackWait(g)
		c.from = lifecycle.Running
	}
	m.endState(c, g)
	if g.sampled && c.Old == m.running {
		m.tellLabels(c, g, 0)
	}
	if c.to == lifecycle.Dead {
		m.endLife(c, g)
	} else if g.sampled {
		m.tellChange(c, g)
	}
	g.line = 0
	if c.to == lifecycle.Waiting && !g.system && m.blocks(c, g) {
		g.line = m.figures.lines.number(c.reason, c.Stack)
	}
	g.state, g.reason, g.since = c.to, c.reason, c.now
	if c.to != lifecycle.Dead {
		g.enter(c.to)
	}
}

// takeBackWait undoes a wait that kept its thread. Before Go 1.20 its reason was stored only after it, so that it looked like any other. But it
// ends by a change from waiting straight to running, which no other does: the goroutine has been running all the time.
func (m *machine) takeBackWait(g *goroutine) {
	if !g.system {
		m.figures.leave(lifecycle.Waiting, g.since)
		m.figures.enter(lifecycle.Running, g.since)
	}
	g.count[lifecycle.Waiting-1]--
	g.count[lifecycle.Running-1]--
	g.state = lifecycle.Running
}

// endState ends a goroutine's state. It is the known one, unless a change before it was missed: then nobody knows how the time since the last
// known change was spent, and it counts for no state.
func (m *machine) endState(c *change, g *goroutine) {
	known := g.state == c.from
	began := g.since
	if !known {
		m.figures.counts.Resynchronized++
		g.lost++
		g.since = c.now
	}
	spent := uint64(c.now - g.since)
	g.time[g.state-1] += spent
	if g.system {
		if known && g.state == lifecycle.Running {
			m.figures.system.add(g.startPC, spent)
		}
		return
	}
	if known {
		m.figures.leave(g.state, c.now)
		m.figures.state(g, c.to, spent)
		if g.state == lifecycle.Running {
			m.figures.runs.add(g.startPC, spent)
		}
	} else {
		m.figures.leave(g.state, began)
	}
	if c.to != lifecycle.Dead {
		m.figures.enter(c.to, c.now)
	}
}

func (m *machine) endLife(c *change, g *goroutine) {
	if !g.system {
		m.figures.counts.Exited++
		m.figures.lives(g.startPC, 0, 1)
		if !g.preexisting {
			m.figures.duration(lifecycle.Lifetime, 0, uint64(c.now-g.created))
		}
	}
	if g.sampled {
		m.labels.release(g)
		m.tellExit(c, g)
	}
}
