//go:build linux

package ring

import (
	"math/bits"
	"math/rand/v2"
)

const (
	// maxHeld is how many records a Chain holds back at once.
	maxHeld = 32
	// maxGs bounds how many goroutines a Chain knows; past it, it begins anew.
	maxGs = 1 << 21
)

// Chain puts right the order of each goroutine's records. The time-stamp counter is read by no instruction in order with its neighbors, so
// that clocks of two changes on two CPUs can tell the wrong order of them, by some ten nanoseconds; but the old status of each is the new
// one of that before. It holds a record that does not fit until the ones before it have come, or its time is up.
type Chain struct {
	// Inversions counts the records that were put right, Misfits those that never fit.
	Inversions, Misfits uint64

	normal [16]uint8
	ticks  uint64
	gs     gTable
	// pool has the held records first, in the order in which they came.
	pool [maxHeld]*heldRecord
	held int
}

type heldRecord struct {
	Record
	stack [MaxStackSlots * AddressesPerSlot]uint64
}

// NewChain returns a Chain that takes statuses with the same number in normal for one, and holds records for so many ticks.
func NewChain(normal [16]uint8, ticks uint64) *Chain {
	c := &Chain{normal: normal, ticks: ticks, gs: newGTable()}
	for i := range c.pool {
		c.pool[i] = new(heldRecord)
	}
	return c
}

// Add takes the next record and emits what is in order now. A record that was held gets the clock of the one it followed, if its own is
// before that. What never fits is emitted as it is.
func (c *Chain) Add(r *Record, emit func(*Record)) {
	if c.held > 0 {
		c.Flush(r.TSC, emit)
	}
	if c.held == maxHeld {
		c.giveUp(emit)
	}
	if r.Uncertain {
		c.forget(emit)
		emit(r)
		return
	}
	g := c.gs.find(r.G)
	if !g.known() {
		g.set(c.normal[r.New&15])
		emit(r)
		return
	}
	if g.status() != c.normal[r.Old&15] {
		c.hold(r, g)
		return
	}
	g.set(c.normal[r.New&15])
	emit(r)
	if g.held() {
		c.settle(r.G, r.TSC, emit)
	}
}

// Flush emits the records whose time is up at a clock up to which all others were added: PassResult.Until.
func (c *Chain) Flush(now uint64, emit func(*Record)) {
	for c.held > 0 && int64(now-c.pool[0].TSC) > int64(c.ticks) {
		c.giveUp(emit)
	}
}

// forget emits all that is held and begins anew.
func (c *Chain) forget(emit func(*Record)) {
	for c.held > 0 {
		c.giveUp(emit)
	}
	c.gs.clear()
}

// hold keeps a copy of a record that does not fit.
func (c *Chain) hold(r *Record, g *gEntry) {
	h := c.pool[c.held]
	c.held++
	h.Record = *r
	h.Stack = h.stack[:copy(h.stack[:], r.Stack)]
	g.hold()
}

// giveUp emits the oldest held record as it is.
func (c *Chain) giveUp(emit func(*Record)) {
	h := c.remove(0)
	c.Misfits++
	c.gs.find(h.G).set(c.normal[h.New&15])
	emit(&h.Record)
	c.settle(h.G, h.TSC, emit)
}

// settle emits the held records of a goroutine that fit now.
func (c *Chain) settle(g, tsc uint64, emit func(*Record)) {
	e := c.gs.find(g)
	left := false
	for i := 0; i < c.held; i++ {
		h := c.pool[i]
		if h.G != g {
			continue
		}
		if c.normal[h.Old&15] != e.status() {
			left = true
			continue
		}
		c.remove(i)
		if h.TSC < tsc {
			c.Inversions++
			h.TSC = tsc
		}
		tsc = h.TSC
		e.set(c.normal[h.New&15])
		emit(&h.Record)
		i, left = -1, false
	}
	if !left {
		e.release()
	}
}

// remove takes a record out of the held ones; it is valid until the next is held.
func (c *Chain) remove(i int) *heldRecord {
	h := c.pool[i]
	c.held--
	copy(c.pool[i:], c.pool[i+1:c.held+1])
	c.pool[c.held] = h
	return h
}

// gEntry is what is known of a goroutine: its address above 16 bits of which the lowest 4 are its status.
type gEntry uint64

const (
	gKnown = 1 << 4
	gHeld  = 1 << 5
)

func (e *gEntry) status() uint8 { return uint8(*e & 15) }
func (e *gEntry) known() bool   { return *e&gKnown != 0 }
func (e *gEntry) held() bool    { return *e&gHeld != 0 }
func (e *gEntry) hold()         { *e |= gHeld }
func (e *gEntry) release()      { *e &^= gHeld }
func (e *gEntry) set(s uint8)   { *e = *e&^15 | gKnown | gEntry(s&15) }

// gTable finds the entries of goroutines: open addressing, with a hash that the process cannot foresee. An entry is valid until the next
// find.
type gTable struct {
	entries []gEntry
	n, most int
	shift   int
	factor  uint64
}

func newGTable() gTable {
	t := gTable{factor: rand.Uint64() | 1, most: maxGs}
	t.resize(1 << 10)
	return t
}

func (t *gTable) resize(size int) {
	t.entries, t.n, t.shift = make([]gEntry, size), 0, 64-bits.TrailingZeros(uint(size))
}

func (t *gTable) clear() {
	if t.n > 0 {
		clear(t.entries)
		t.n = 0
	}
}

func (t *gTable) find(g uint64) *gEntry {
	hash := g * t.factor
	hash = (hash ^ hash>>32) * t.factor
	for i := hash >> t.shift; ; i++ {
		e := &t.entries[i&uint64(len(t.entries)-1)]
		if uint64(*e)>>16 == g && *e != 0 {
			return e
		}
		if *e == 0 {
			return t.add(g, e)
		}
	}
}

// add makes a new entry at a free place, where it is not found before its status is set.
func (t *gTable) add(g uint64, at *gEntry) *gEntry {
	if t.n*2 >= len(t.entries) {
		t.grow()
		return t.find(g)
	}
	t.n++
	*at = gEntry(g << 16)
	return at
}

func (t *gTable) grow() {
	if t.n >= t.most {
		t.clear()
		return
	}
	old := t.entries
	t.resize(2 * len(old))
	for _, e := range old {
		if e != 0 {
			*t.find(uint64(e) >> 16) = e
		}
	}
}
