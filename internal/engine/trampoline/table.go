//go:build linux

package trampoline

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// goroutine is what is known of one. As the runtime never frees a g but gives it to a later goroutine, the entry is kept too.
type goroutine struct {
	g, goid uint64 // goid is 0 until the runtime has stored it
	// created and since, when the state began, are in ns of CLOCK_MONOTONIC.
	created, since      int64
	startPC, creationPC uint64
	labels              uint64 // g.labels, as last told
	time                [lifecycle.States - 1]uint64
	count               [lifecycle.States - 1]uint32
	lost                uint32 // events that there was no room for since the last that there was
	state               lifecycle.State
	reason              uint8
	sampled, system     bool
	preexisting, root   bool
	unread              bool   // it has labels that could not be read yet
	line                uint16 // the number of that at which it waits, 0 if it is not known
}

// enter counts that the goroutine is in a state.
func (g *goroutine) enter(s lifecycle.State) { g.count[s-1]++ }

// room is how many goroutines of all processes together there may still be.
type room struct{ left atomic.Int64 }

func (r *room) take() bool {
	if r.left.Add(-1) >= 0 {
		return true
	}
	r.left.Add(1)
	return false
}

// table holds the goroutines of a process by their g, in an open-addressed hash table: it is looked into for each change.
type table struct {
	slots  []goroutine
	shift  uint   // of a hash, to an index
	factor uint64 // of the hash: the process cannot foresee which gs meet in a slot
	used   int
	most   int
	room   *room
}

const firstTableBits = 8

func newTable(most int, r *room) table {
	return table{slots: make([]goroutine, 1<<firstTableBits), shift: 64 - firstTableBits, factor: rand.Uint64() | 1, most: most, room: r}
}

// slot returns where a g is, or would be.
func (t *table) slot(g uint64) *goroutine {
	mask := len(t.slots) - 1
	hash := g * t.factor
	hash = (hash ^ hash>>32) * t.factor
	for i := int(hash >> t.shift); ; i++ {
		if e := &t.slots[i&mask]; e.g == g || e.g == 0 {
			return e
		}
	}
}

// find returns what is known of a g, nil if nothing is. It is valid until the next insert.
func (t *table) find(g uint64) *goroutine {
	if e := t.slot(g); e.g != 0 {
		return e
	}
	return nil
}

// insert makes a g known that is not, nil if there is no room.
func (t *table) insert(g uint64) *goroutine {
	if g == 0 || t.used >= t.most || !t.room.take() {
		return nil
	}
	if t.used++; t.used > len(t.slots)*3/4 {
		t.grow()
	}
	e := t.slot(g)
	*e = goroutine{g: g}
	return e
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]goroutine, 2*len(old))
	t.shift--
	for i := range old {
		if old[i].g != 0 {
			*t.slot(old[i].g) = old[i]
		}
	}
}

// each calls visit with each entry.
func (t *table) each(visit func(*goroutine)) {
	for i := range t.slots {
		if t.slots[i].g != 0 {
			visit(&t.slots[i])
		}
	}
}

// free gives the room back.
func (t *table) free() {
	t.room.left.Add(int64(t.used))
	*t = newTable(0, t.room)
}
