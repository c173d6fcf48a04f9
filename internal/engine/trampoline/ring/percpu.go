//go:build linux

package ring

import (
	"slices"
	"sync/atomic"
)

const (
	// maxHoles bounds how many holes of a ring are looked at again: an honest process has a few for each thread that lost its CPU while it
	// wrote.
	maxHoles = 4096
)

// hole is a slot that was reserved but not committed when it was looked at.
type hole struct {
	index, since uint64
}

// perCPU reads the ring of one CPU.
type perCPU struct {
	slots []slot
	bits  uint32
	head  *uint64
	limit *uint64

	// reserved is the head as it was read in this pass, tail the next index to look at.
	reserved, tail uint64
	holes          []hole
	// pending holds the changes that were read and not yet visited, in order of their clocks from the end of a pass on.
	pending []change
	// extras holds the extra slots of those; spare is its next backing.
	extras, spare []slot
	// cut tells that there is more behind tail in this pass.
	cut bool
	// lost is how many slots were given up in this pass.
	lost uint64
	// mixed tells that what was read in this pass may have been written over meanwhile.
	mixed bool
}

func newPerCPU(m *Memory, cpu uint32) perCPU {
	r := perCPU{slots: m.ring(cpu), bits: m.geometry.Bits, head: m.header(cpu, OffHead), limit: m.header(cpu, OffLimit)}
	r.restart(atomic.LoadUint64(r.head))
	return r
}

func (r *perCPU) size() uint64 { return uint64(len(r.slots)) }

// slack is how much of a ring is kept free for threads that saw the same room at once.
func (r *perCPU) slack() uint64 { return min(512, r.size()/4) }

func (r *perCPU) slot(index uint64) *slot { return &r.slots[index&uint64(len(r.slots)-1)] }

// commit is what the lowest bits of a head slot's last word are once it is committed.
func (r *perCPU) commit(index uint64) uint16 { return Committed | uint16(index>>r.bits)&LapMask }

// restart goes on from a head that does not fit what was read before.
func (r *perCPU) restart(head uint64) {
	r.reserved, r.tail, r.holes = head, head, r.holes[:0]
	r.publish()
}

// look reads the head and returns how many slots wait. A head that is not within a ring of the tail has lapped it, or is a lie.
func (r *perCPU) look() uint64 {
	r.cut, r.mixed, r.lost = false, false, 0
	if head := atomic.LoadUint64(r.head); head-r.tail > r.size() {
		r.lost = uint64(len(r.holes)) + r.size()
		r.restart(head)
	} else {
		r.reserved = head
	}
	return r.reserved - r.tail
}

// read copies what was committed, up to a number of slots that are not extra.
func (r *perCPU) read(most int, now uint64) {
	if r.tail == r.reserved && len(r.holes) == 0 {
		r.publish()
		return
	}
	first := r.oldest()
	r.fill(now)
	r.copy(most, now)
	r.cut = r.tail != r.reserved
	r.mixed = atomic.LoadUint64(r.head)-first > r.size()
	r.publish()
}

// copy goes from the tail to the head.
func (r *perCPU) copy(most int, now uint64) {
	r.pending = slices.Grow(r.pending, most)
	tail := r.tail
	for ; most > 0 && tail != r.reserved && r.room(); most-- {
		s := r.slot(tail)
		last := atomic.LoadUint64(&s[3])
		switch uint16(last) {
		case r.commit(tail):
			tail = r.take(tail, changeOf(s.copy(last)))
		case r.commit(tail) | Extra:
			// Its head is an open hole, and takes it along when it is committed.
			tail++
		default:
			r.open(hole{tail, now})
			tail++
		}
	}
	r.tail = tail
}

// room tells whether the extra slots of one more change can be kept.
func (r *perCPU) room() bool { return len(r.extras) <= maxExtraSlots-MaxExtras }

// open keeps a slot to look at again.
func (r *perCPU) open(h hole) {
	if len(r.holes) < maxHoles {
		r.holes = append(r.holes, h)
	} else {
		r.lost++
	}
}

// take keeps a change that was copied from its head slot, with its extra slots, and returns the index behind them.
func (r *perCPU) take(index uint64, c change) uint64 {
	index++
	if _, n := c.extras(); n != 0 {
		first := len(r.extras)
		if n <= MaxExtras && n <= r.reserved-index {
			index = r.takeExtras(index, n)
		}
		c.setExtras(first, len(r.extras)-first)
	}
	r.pending = append(r.pending, c)
	return index
}

// takeExtras copies n extra slots, fewer if the process lied when it committed their head.
func (r *perCPU) takeExtras(index, n uint64) uint64 {
	for end := index + n; index != end; index++ {
		s := r.slot(index)
		last := atomic.LoadUint64(&s[3])
		if uint16(last) != r.commit(index)|Extra {
			break
		}
		r.extras = append(r.extras, s.copy(last))
	}
	return index
}

// fill takes the changes whose slots were holes when they were looked at first.
func (r *perCPU) fill(now uint64) {
	full := r.reserved-r.oldest() >= r.size()-r.slack()
	kept := r.holes[:0]
	for _, h := range r.holes {
		s := r.slot(h.index)
		last := atomic.LoadUint64(&s[3])
		switch commit := uint16(last); {
		case commit == r.commit(h.index) && r.room():
			r.take(h.index, changeOf(s.copy(last)))
		case commit == r.commit(h.index)|Extra:
		case r.hopeless(h, full, now):
			r.lost++
		default:
			kept = append(kept, h)
		}
	}
	r.holes = kept
}

// hopeless tells whether to give a hole up: it was lapped, or is among those that have kept writers from a full ring for too long. Whoever
// reserved it may have been a copy of the process that is gone.
func (r *perCPU) hopeless(h hole, full bool, now uint64) bool {
	return r.reserved-h.index > r.size() || full && now-h.since > holeTicks
}

// oldest is the index of the first slot that is still to be read: holes are in the order of their indexes.
func (r *perCPU) oldest() uint64 {
	if len(r.holes) > 0 {
		return r.holes[0].index
	}
	return r.tail
}

// publish tells writers how far they may go, in each pass, as the process can overwrite it. The writers' copies of the word stay valid if it
// is the same.
func (r *perCPU) publish() {
	if limit := r.oldest() + r.size() - r.slack(); atomic.LoadUint64(r.limit) != limit {
		atomic.StoreUint64(r.limit, limit)
	}
}

// order sorts what is pending by clocks, none of which is before the first or after the last that can be.
func (r *perCPU) order(first, last uint64) {
	p := r.pending
	moves := 4*len(p) + 64
	for i := range p {
		p[i].tsc = min(max(p[i].tsc, first), last)
		// Nearly sorted: a thread may lose its CPU between the clock and the reservation.
		for k := i; k > 0 && p[k].tsc < p[k-1].tsc && moves > 0; k-- {
			p[k], p[k-1] = p[k-1], p[k]
			moves--
		}
	}
	if moves == 0 {
		slices.SortStableFunc(p, func(a, b change) int {
			if a.tsc < b.tsc {
				return -1
			} else if a.tsc > b.tsc {
				return 1
			}
			return 0
		})
	}
}

// forget drops the first n pending changes, which were visited.
func (r *perCPU) forget(n int) {
	if n == 0 {
		return
	}
	r.pending = r.pending[:copy(r.pending, r.pending[n:])]
	r.spare = r.spare[:0]
	for i := range r.pending {
		c := &r.pending[i]
		if first, n := c.extras(); n != 0 {
			c.setExtras(len(r.spare), int(n))
			r.spare = append(r.spare, r.extras[first:][:n]...)
		}
	}
	r.extras, r.spare = r.spare, r.extras
}
