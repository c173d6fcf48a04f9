//go:build linux

package ring

import "math"

// Reader visits the changes in a memory in the order of their clocks. It belongs to one goroutine, and allocates nothing once its buffers
// have grown.
type Reader struct {
	memory *Memory
	now    func() uint64
	cpus   []perCPU
	// start is the clock when the reader began, water up to which it has visited.
	start, water uint64
	// uncertain is the clock up to which changes may have been dropped, dropped how many were known to be.
	uncertain, dropped uint64
	record             Record
	merge              merge
}

// PassResult tells what a pass did.
type PassResult struct {
	// Visited is how many records were visited.
	Visited int
	// More tells that the pass left something for the next because of its limit.
	More bool
	// Lossy tells that some of the records were uncertain.
	Lossy bool
	// Lost is how many slots were given up, which is no less than changes: their writers are taken to be gone, or there was no room to wait
	// for them, or their ring had been lapped. The process does not count them as dropped.
	Lost uint64
	// Until is the clock up to which all was visited that does not come late.
	Until uint64
	// Backlog is how many slots are not yet read, and records not yet visited.
	Backlog int
}

// NewReader begins at what the process writes next, and lets it write, as long as there are beats.
func NewReader(m *Memory) *Reader { return newReader(m, TSC) }

func newReader(m *Memory, now func() uint64) *Reader {
	r := &Reader{memory: m, now: now, cpus: make([]perCPU, m.geometry.CPUs), start: now(), dropped: m.Dropped()}
	r.record.Stack = make([]uint64, 0, MaxStackSlots*AddressesPerSlot)
	for cpu := range r.cpus {
		r.cpus[cpu] = newPerCPU(m, uint32(cpu))
	}
	return r
}

// Pass reads each ring up to its head, or about limit changes of all rings, and visits all read changes that no later pass can find an
// older one to, in the order of their clocks. A record is valid during its visit.
//
// A change comes late, behind younger ones, if its writer lost its CPU between the clock and the last store. If the counter was set back, as
// where a virtual machine was moved, records are uncertain for two passes, and have times from this pass on.
func (r *Reader) Pass(limit int, visit func(*Record)) PassResult {
	// What a later pass finds was begun after this, except what comes late.
	before := r.now()
	setBack := before < r.water
	if setBack {
		r.start, r.water = before, 0
	}
	r.read(max(limit, 1), before)
	after := r.now()
	result := PassResult{Lost: r.notice(after, setBack)}
	result.Lossy = r.water < r.uncertain
	water := before - 1
	for i := range r.cpus {
		c := &r.cpus[i]
		if len(c.pending) > 0 {
			c.order(r.start, after)
		}
		if c.cut {
			result.More = true
			water = min(water, c.youngest(r.water))
		}
	}
	r.record.Uncertain = result.Lossy
	result.Visited = r.visit(water, visit)
	r.water = max(r.water, water)
	result.Until = r.water
	result.Backlog = r.backlog()
	return result
}

// youngest is the clock of the last change that was read: what is behind it in the ring is not older.
func (r *perCPU) youngest(otherwise uint64) uint64 {
	if len(r.pending) == 0 {
		return otherwise
	}
	return r.pending[len(r.pending)-1].tsc
}

// read reads the same share of what waits in each ring, since the same time lies in it.
func (r *Reader) read(limit int, now uint64) {
	var waiting uint64
	for i := range r.cpus {
		waiting += r.cpus[i].look()
	}
	for i := range r.cpus {
		c := &r.cpus[i]
		most := c.reserved - c.tail
		if waiting > uint64(limit) {
			most = most*uint64(limit)/waiting + 1
		}
		c.read(max(min(int(most), limit-len(c.pending)), 0), now)
	}
}

// notice sees whether changes were dropped or their order was lost, and returns how many slots were given up. What was dropped before a change
// that was read now has been counted by now.
func (r *Reader) notice(now uint64, disorder bool) (lost uint64) {
	for i := range r.cpus {
		lost += r.cpus[i].lost
		disorder = disorder || r.cpus[i].mixed
	}
	if dropped := r.memory.Dropped(); dropped != r.dropped || lost > 0 || disorder {
		r.dropped, r.uncertain = dropped, now
	}
	return lost
}

func (r *Reader) visit(water uint64, visit func(*Record)) (n int) {
	r.merge.reset(r.cpus, water)
	for r.merge.active() {
		c := &r.cpus[r.merge.first()]
		from, until := r.merge.position(), r.merge.second()
		run := c.pending[from:]
		i := 0
		for ; i < len(run) && run[i].tsc <= until; i++ {
			r.decode(&run[i], c.extras)
			visit(&r.record)
		}
		n += i
		r.merge.advance(c, from+i)
	}
	for i := range r.cpus {
		r.cpus[i].forget(r.merge.visited(i))
	}
	return n
}

func (r *Reader) backlog() int {
	var n uint64
	for i := range r.cpus {
		c := &r.cpus[i]
		n += c.reserved - c.tail + uint64(len(c.pending))
	}
	return int(min(n, math.MaxInt))
}
