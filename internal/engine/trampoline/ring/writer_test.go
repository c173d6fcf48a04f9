//go:build linux

package ring

import (
	"sync/atomic"
	"testing"
)

// writer does what a trampoline does, step by step.
type writer struct {
	m   *Memory
	now func() uint64
}

// written is what a writer writes.
type written struct {
	g, goid, m uint64
	old, new   uint8
	reason     uint8
	// creation holds g.startpc, g.gopc, g.labels and m.curg.
	creation *[4]uint64
	labels   uint64
	// stack holds words of a stack's slots.
	stack []uint32
}

func (w written) kinds() (kinds, extras uint64) {
	if w.creation != nil {
		kinds |= KindCreation
		extras++
	}
	if w.labels != 0 {
		kinds |= KindLabels
		extras++
	}
	return kinds, extras + uint64(len(w.stack)+AddressesPerSlot-1)/AddressesPerSlot
}

// reservation is a change that was reserved, and is not yet committed.
type reservation struct {
	w          writer
	cpu        uint32
	index, tsc uint64
	change     written
}

// reserve is what a trampoline does up to its LOCK XADD; false if it drops the change.
func (w writer) reserve(cpu uint32, change written) (reservation, bool) {
	return w.reserveAt(cpu, w.now(), change)
}

func (w writer) reserveAt(cpu uint32, tsc uint64, change written) (reservation, bool) {
	if tsc > w.m.Word(OffDeadline) || atomic.LoadUint64(w.m.header(cpu, OffHead)) >= atomic.LoadUint64(w.m.header(cpu, OffLimit)) {
		atomic.AddUint64(w.m.header(cpu, OffDropped), 1)
		return reservation{}, false
	}
	_, extras := change.kinds()
	index := atomic.AddUint64(w.m.header(cpu, OffHead), 1+extras) - 1 - extras
	return reservation{w, cpu, index, tsc, change}, true
}

func (r reservation) put(index uint64, words slot, extra uint64) {
	s := &r.w.m.ring(r.cpu)[index&(1<<r.w.m.geometry.Bits-1)]
	for i := range 3 {
		atomic.StoreUint64(&s[i], words[i])
	}
	atomic.StoreUint64(&s[3], words[3]<<ShiftM|Committed|extra|index>>r.w.m.geometry.Bits&LapMask)
}

// commit writes the extra slots, then the head.
func (r reservation) commit() {
	c := r.change
	index := r.index + 1
	if c.creation != nil {
		r.put(index, *c.creation, Extra)
		index++
	}
	if c.labels != 0 {
		r.put(index, slot{c.labels}, Extra)
		index++
	}
	for stack := c.stack; len(stack) > 0; index++ {
		var words [AddressesPerSlot]uint32
		stack = stack[copy(words[:], stack):]
		var s slot
		for i, a := range words {
			s[i/2] |= uint64(a) << (i % 2 * 32)
		}
		r.put(index, s, Extra)
	}
	kinds, extras := c.kinds()
	who := c.g | uint64(c.old)<<ShiftOld | uint64(c.new)<<ShiftNew | extras<<ShiftExtras | kinds<<ShiftKinds
	r.put(r.index, slot{r.tsc, who, c.goid | uint64(c.reason)<<ShiftReason, c.m}, 0)
}

// write is the whole of a trampoline.
func (w writer) write(cpu uint32, change written) bool {
	r, ok := w.reserve(cpu, change)
	if ok {
		r.commit()
	}
	return ok
}

// counter is a clock that ticks once each time it is read.
type counter struct{ t atomic.Uint64 }

func (c *counter) now() uint64 { return c.t.Add(1) }

func newBench(t testing.TB, g Geometry) (*Memory, *counter, writer, *Reader) {
	t.Helper()
	m, err := Open(g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	m.Beat(1 << 62)
	clock := &counter{}
	clock.t.Store(1000)
	return m, clock, writer{m, clock.now}, newReader(m, clock.now)
}

// all reads until nothing waits that can be read, and returns copies of the records.
func all(r *Reader, limit int) (records []Record, lossy bool) {
	for range 1 << 16 {
		p := r.Pass(limit, func(x *Record) {
			y := *x
			y.Stack = append([]uint64(nil), x.Stack...)
			records = append(records, y)
		})
		lossy = lossy || p.Lossy
		if p.Backlog == 0 || !p.More && p.Visited == 0 {
			return records, lossy
		}
	}
	panic("the reader gets nowhere")
}
