//go:build linux

package trampoline

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// operation is what becomes of an item of a channel, as a record tells it.
type operation struct {
	kind         uint8 // ring.Sent, Received or Taken
	sendX, recvX uint32
	g, sender    uint64
	now          int64
}

// channel is one whose items are followed. Each operation tells the positions in the buffer as they are then: one that does not fit those before
// it shows that one was missed. Then nobody knows what is in the buffer.
type channel struct {
	address uint64
	known   bool
	sendX   uint32   // where the next item goes to
	recvX   uint32   // where the next one comes from
	count   uint32   // how many there are
	items   []uint64 // their numbers, in their places; what is there of those up to unknown was put there before some were missed
	unknown uint64
	// held are operations that do not fit, for a moment: clocks of two CPUs may tell the wrong order.
	held []operation
	// burdens tells that items came while too many events waited.
	burdens bool
}

const (
	// maxBuffer is how many items the buffer of a channel may hold that is followed.
	maxBuffer = 1 << 14
	// maxBuffers is how many the buffers of all channels of a process together may hold.
	maxBuffers = 1 << 17
	maxHeld    = 8
	// settles is how long a thread that has just looked whether a channel is followed may go on without a processor.
	settles = 100 * time.Millisecond
)

// FollowItems has items of a channel told of, by events Sent and Received, from a moment on, in ns of CLOCK_MONOTONIC. It returns 0 if that is not
// possible: the program's code has no place for it, there are too many channels, or too many events wait.
func (p *Process) FollowItems(address, size uint64) (since int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.source == nil || !p.attachment.seesItems || !p.machine.follow(p.source.memory, address, size) {
		return 0
	}
	return lifecycle.Now() + settles.Nanoseconds()
}

// LeaveItems ends what FollowItems began.
func (p *Process) LeaveItems(address uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.source != nil {
		p.machine.leave(p.source.memory, address)
	}
}

// follow begins to follow a channel, if there is room and time for it.
func (m *machine) follow(memory *ring.Memory, address, size uint64) bool {
	if m.channels[address] != nil {
		return true
	}
	if m.onlyFigures() || m.queue.busy() || address == 0 || size == 0 || size > maxBuffer || m.buffers+size > maxBuffers || !memory.AddChannel(address) {
		return false
	}
	m.channels[address] = &channel{address: address, items: make([]uint64, size)}
	m.buffers += size
	return true
}

// leave ends what follow began.
func (m *machine) leave(memory *ring.Memory, address uint64) {
	if c := m.channels[address]; c != nil {
		m.buffers -= uint64(c.size())
		delete(m.channels, address)
		memory.RemoveChannel(address)
	}
}

// relieve follows no channels any more for which there is no time: any if only figures are made of records, or those that brought items while too
// many events wait.
func (m *machine) relieve(memory *ring.Memory) {
	for address, c := range m.channels {
		if (m.onlyFigures() || c.burdens) && m.tellMissed(address, 0) {
			m.leave(memory, address)
		}
	}
}

// takeItem takes a record of an item.
func (m *machine) takeItem(r *ring.Record, now int64) {
	m.taken++
	m.figures.counts.Ignored++
	c := m.channels[r.Channel]
	if c == nil || r.Item > ring.Taken {
		return
	}
	c.burdens = c.burdens || m.queue.busy()
	if r.Uncertain {
		m.forgetItemsOf(c)
	}
	m.settleChannel(c, now)
	o := operation{r.Item, r.SendX, r.RecvX, r.G, r.Sender, now}
	if !c.known {
		m.resume(c, o)
		return
	}
	if !c.fits(&o) {
		if c.held = append(c.held, o); len(c.held) == maxHeld {
			m.giveUp(c)
		}
		return
	}
	m.carryOut(c, &o)
	for i := 0; i < len(c.held); i++ {
		if held := c.held[i]; c.fits(&held) {
			c.held = append(c.held[:i], c.held[i+1:]...)
			m.carryOut(c, &held)
			i = -1
		}
	}
}

// settleChannel gives up operations that have been held for long.
func (m *machine) settleChannel(c *channel, now int64) {
	if len(c.held) > 0 && now-c.held[0].now > inversion.Nanoseconds() {
		m.giveUp(c)
	}
}

// settleItems does so for all channels, at a time up to which all records have come.
func (m *machine) settleItems(now int64) {
	for _, c := range m.channels {
		m.settleChannel(c, now)
	}
}

// forgetItems makes all unknown that is in buffers, and what goroutines have taken out of them, as records were lost.
func (m *machine) forgetItems() {
	m.noteMissed(nil)
	for _, c := range m.channels {
		m.forgetItemsOf(c)
	}
}

func (m *machine) forgetItemsOf(c *channel) {
	for i := range c.held {
		m.tellReceived(c, &c.held[i], 0)
	}
	c.known, c.held = false, c.held[:0]
}

// missed remembers of which channels a pass has told that items were missed: of one, or of all. If there was no room for that, it is due.
type missed struct {
	of       *channel
	all, due bool
}

// beginItems begins a pass.
func (m *machine) beginItems() {
	due := m.missed.due
	m.missed = missed{}
	if due {
		m.noteMissed(nil)
	}
}

// noteMissed tells that items of a channel were missed, or of all if that is nil. A pass tells so twice at the most: all that it brings happened before
// the first time.
func (m *machine) noteMissed(of *channel) {
	if len(m.channels) == 0 || m.missed.all || of != nil && m.missed.of == of {
		return
	}
	address := uint64(0)
	if of != nil && m.missed.of == nil {
		m.missed.of, address = of, of.address
	} else {
		m.missed.all = true
	}
	m.missed.due = !m.tellMissed(address, lifecycle.Now()) || m.missed.due
}

// tellMissed tells that items of a channel were missed until now, or of all if that is 0, and since when they are told of, if they are. It reports false
// if there is no room for that.
func (m *machine) tellMissed(channel uint64, since int64) bool {
	e := m.queue.add(true)
	if e == nil {
		return false
	}
	*e = lifecycle.Event{Kind: lifecycle.Missed, Time: lifecycle.Now(), Since: since, PID: m.pid, Channel: channel}
	return true
}

// giveUp goes on from the last operation that is held.
func (m *machine) giveUp(c *channel) {
	m.noteMissed(c)
	last := len(c.held) - 1
	for i := range c.held[:last] {
		m.tellReceived(c, &c.held[i], 0)
	}
	o := c.held[last]
	c.held = c.held[:0]
	m.resume(c, o)
}

// resume goes on from an operation without knowing what was before.
func (m *machine) resume(c *channel, o operation) {
	size := c.size()
	c.unknown = m.itemsSent
	c.sendX, c.recvX = o.sendX, o.recvX
	if o.kind == ring.Taken {
		c.sendX = o.recvX
	}
	if c.known = c.sendX < size && c.recvX < size; !c.known {
		m.tellReceived(c, &o, 0)
		return
	}
	// The positions are those behind the operation, but for Taken: go back before it.
	switch o.kind {
	case ring.Sent:
		c.count = (c.sendX+size-c.recvX-1)%size + 1
		c.sendX, c.count = (c.sendX+size-1)%size, c.count-1
	case ring.Received:
		c.count = (c.sendX+size-c.recvX)%size + 1
		c.recvX = (c.recvX + size - 1) % size
	default:
		c.count = size
	}
	m.carryOut(c, &o)
}

func (c *channel) size() uint32 { return uint32(len(c.items)) }

// next returns the place behind another.
func (c *channel) next(x uint32) uint32 {
	if x++; x == c.size() {
		return 0
	}
	return x
}

// first returns the number of the next item to be taken, 0 if that is not known.
func (c *channel) first() uint64 {
	if number := c.items[c.recvX]; number > c.unknown {
		return number
	}
	return 0
}

// fits tells whether an operation is the next.
func (c *channel) fits(o *operation) bool {
	switch o.kind {
	case ring.Sent:
		return c.count < c.size() && o.sendX == c.next(c.sendX) && o.recvX == c.recvX
	case ring.Received:
		return c.count > 0 && o.sendX == c.sendX && o.recvX == c.next(c.recvX)
	case ring.Taken:
		return c.count == c.size() && uint16(o.recvX) == uint16(c.recvX)
	}
	return false
}

// carryOut makes the next operation. Who takes an item from a full buffer makes room for that of a goroutine that waits.
func (m *machine) carryOut(c *channel, o *operation) {
	if o.kind != ring.Sent {
		m.tellReceived(c, o, c.first())
		c.recvX = c.next(c.recvX)
		c.count--
	}
	if o.kind != ring.Received {
		c.items[c.sendX] = m.tellSent(c, o)
		c.sendX = c.next(c.sendX)
		c.count++
	}
}

// tellSent tells that a goroutine has sent an item, and returns its number.
func (m *machine) tellSent(c *channel, o *operation) (number uint64) {
	sender := o.g
	if o.kind == ring.Taken {
		sender = o.sender
	}
	g := m.goroutines.find(sender)
	if sender == 0 || g == nil || !g.sampled {
		return 0
	}
	m.itemsSent++
	if !m.tellItem(lifecycle.Sent, c, o.now, g, m.itemsSent) {
		return 0
	}
	return m.itemsSent
}

// tellReceived tells that a goroutine has received an item.
func (m *machine) tellReceived(c *channel, o *operation, number uint64) {
	if o.kind == ring.Sent || o.g == 0 {
		return
	}
	if g := m.goroutines.find(o.g); g != nil && g.sampled && !m.tellItem(lifecycle.Received, c, o.now, g, number) {
		g.lost++
	}
}

// tellItem adds an event to the queue, if there is room.
func (m *machine) tellItem(kind lifecycle.Kind, c *channel, now int64, g *goroutine, number uint64) bool {
	if m.onlyFigures() {
		return false
	}
	e := m.queue.add(false)
	if e == nil {
		m.figures.counts.EventsLost++
		return false
	}
	*e = lifecycle.Event{Kind: kind, Time: now, PID: m.pid, G: g.g, GoID: g.goid, Channel: c.address, BufferSize: uint64(c.size()), Item: number}
	return true
}
