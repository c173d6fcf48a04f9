//go:build linux

package trampoline

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/inject"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// source is where the records of a process come from. Process.mu guards it, but for remove.
type source struct {
	installed *inject.Installed
	memory    *ring.Memory
	reader    *ring.Reader
	chain     *ring.Chain
	clock     *clock
	machine   *machine
	line      *ring.Clock // during a pass
	dropped   uint64      // as last seen
	backlog   int         // records that waited behind the last pass
	uncertain bool        // a record of this pass was

	add, take func(*ring.Record)
}

// inversion is how long a record is held that does not fit what is known of its goroutine: the clocks of two CPUs were never seen to disagree
// by more than a hundredth of it.
const inversion = 10 * time.Microsecond

// newSource begins to read what is recorded from now on.
func newSource(i *inject.Installed, clock *clock, m *machine, textBase uint64) *source {
	s := &source{installed: i, memory: i.Memory(), chain: ring.NewChain(m.equalStatuses(), clock.ticks(inversion)), clock: clock, machine: m}
	s.take = func(r *ring.Record) { m.take(r, s.line.Nanos(r.TSC)) }
	s.add = s.visit
	s.memory.ClearChannels() // of a collector before
	s.memory.SetTextBase(textBase)
	s.configure()
	s.beat()
	s.reader = ring.NewReader(s.memory)
	s.dropped = s.memory.Dropped() // as long as nobody read
	return s
}

// visit takes a record as it comes.
func (s *source) visit(r *ring.Record) {
	if r.Uncertain && !s.uncertain {
		s.uncertain = true
		s.machine.forgetItems()
	}
	if r.Item != 0 {
		s.machine.takeItem(r, s.line.Nanos(r.TSC))
		return
	}
	s.chain.Add(r, s.take)
}

// equalStatuses gives statuses the same number that are one state.
func (r *rules) equalStatuses() (normal [16]uint8) {
	for status, s := range r.states {
		normal[status] = uint8(s)
	}
	return normal
}

// pass brings up to so many records, or all that there are, to the machine. It returns how many, and whether there are more.
func (s *source) pass(limit int) (n int, more bool) {
	s.machine.queue.begin()
	defer s.machine.queue.end()
	s.line, s.uncertain = s.clock.now(), false
	s.machine.beginItems()
	result := s.reader.Pass(limit, s.add)
	s.backlog = result.Backlog
	s.chain.Flush(result.Until, s.take)
	s.machine.settleItems(s.line.Nanos(result.Until))
	s.machine.relieve(s.memory)
	s.machine.tellLate()
	if s.machine.wantsStacks() {
		s.machine.recorded.add(s.machine.taken, s.machine.withStack)
	}
	s.machine.taken, s.machine.withStack = 0, 0
	lost := result.Lost
	if dropped := s.memory.Dropped(); dropped != s.dropped {
		lost += dropped - s.dropped
		s.dropped = dropped
	}
	if lost > 0 || result.Lossy {
		s.machine.forgetItems()
	}
	if lost > 0 {
		s.machine.figures.counts.EventsLost += lost
		s.machine.labels.forget()
		s.machine.figures.counts.Resynchronized++ // a look at the memory finds what no later change contradicts
	}
	return result.Visited, result.More
}

// configure has the trampolines record what is wanted beyond changes.
func (s *source) configure() {
	slots := 0
	if s.machine.wantsStacks() {
		slots = stackSlots
	}
	s.memory.SetStackSlots(slots)
	s.memory.SetWantLabels(s.machine.labels != nil && s.machine.tells())
}

// hasRoom tells whether the rings were not half full at the last pass.
func (s *source) hasRoom() bool {
	g := s.memory.Geometry()
	return s.backlog < 1<<(g.Bits-1)
}

// beat lets the trampolines record for some more time.
func (s *source) beat() { s.memory.Beat(ring.TSC() + s.clock.ticks(patience)) }

// remove puts the code back.
func (s *source) remove() error { return s.installed.Remove() }

// removeLater tries again to put the code back, until that is done or the channel is closed.
func (s *source) removeLater(closed <-chan struct{}) {
	defer s.close()
	for {
		select {
		case <-closed:
			_ = s.remove()
			return
		case <-time.After(time.Second):
			if s.remove() == nil {
				return
			}
		}
	}
}

// close lets go of the shared memory.
func (s *source) close() error { return s.installed.Close() }
