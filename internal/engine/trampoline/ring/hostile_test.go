//go:build linux

package ring

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hostile does to a memory what its program says: honest writes, forged words, and passes.
type hostile struct {
	*testing.T
	program []byte
	m       *Memory
	clock   *counter
	w       writer
	r       *Reader
	open    []reservation
}

func (h *hostile) byte() (b byte) {
	if len(h.program) > 0 {
		b, h.program = h.program[0], h.program[1:]
	}
	return b
}

// value is a number that is likely to be near one that matters.
func (h *hostile) value(near uint64) uint64 {
	size := uint64(1) << h.m.geometry.Bits
	switch b := h.byte(); b % 8 {
	case 0:
		return near + uint64(int8(h.byte()))
	case 1:
		return near + size*uint64(int8(h.byte()))
	case 2:
		return near + size + uint64(int8(h.byte()))
	case 3:
		return uint64(h.byte())
	case 4:
		return ^uint64(h.byte())
	case 5:
		return near ^ 1<<(h.byte()%64)
	case 6:
		return near + 1<<(h.byte()%64)
	default:
		var all [8]byte
		h.program = h.program[copy(all[:], h.program):]
		return binary.LittleEndian.Uint64(all[:])
	}
}

func (h *hostile) step() {
	b := h.byte()
	cpu := uint32(b>>7) % h.m.geometry.CPUs
	switch b % 8 {
	case 0, 1:
		h.write(cpu)
	case 2:
		if n := len(h.open); n > 0 {
			h.open[n-1].commit()
			h.open = h.open[:n-1]
		}
	case 3:
		word := h.m.header(cpu, []uint64{OffHead, OffHead, OffLimit, OffDropped}[h.byte()%4])
		atomic.StoreUint64(word, h.value(atomic.LoadUint64(word)))
	case 4, 5:
		h.forge(cpu)
	case 6:
		offset := uint64(h.byte()) * 8
		h.m.SetWord(offset, h.value(h.m.Word(offset)))
	case 7:
		h.pass(int(h.byte()))
	}
}

func (h *hostile) write(cpu uint32) {
	shape := h.byte()
	c := written{g: 512 * uint64(shape), old: shape & 15, new: shape >> 4}
	if shape&1 != 0 {
		c.creation = &[4]uint64{1, 2, 3, 4}
	}
	if shape&2 != 0 {
		c.labels = 5
	}
	c.stack = make([]uint32, AddressesPerSlot*(shape%12))
	if r, ok := h.w.reserve(cpu, c); !ok {
		return
	} else if shape&4 != 0 && len(h.open) < 100 {
		h.open = append(h.open, r)
	} else {
		r.commit()
	}
}

// forge writes words of a slot near the head that may look committed.
func (h *hostile) forge(cpu uint32) {
	index := atomic.LoadUint64(h.m.header(cpu, OffHead)) + uint64(int8(h.byte()))
	s := &h.m.ring(cpu)[index&(1<<h.m.geometry.Bits-1)]
	which := h.byte()
	if word := which % 4; word != 3 {
		atomic.StoreUint64(&s[word], h.value(atomic.LoadUint64(&s[word])))
		return
	}
	commit := Committed | index>>h.m.geometry.Bits&LapMask | uint64(which&16)<<11
	atomic.StoreUint64(&s[3], commit^uint64(which&32)>>5)
}

// pass checks that work and memory of a pass have bounds whatever there is.
func (h *hostile) pass(limit int) {
	cpus := len(h.r.cpus)
	holes := 0
	tails := make([]uint64, cpus)
	for i, c := range h.r.cpus {
		holes += len(c.holes)
		tails[i] = c.tail
	}
	visited := 0
	started, before := h.r.start, 0
	for _, c := range h.r.cpus {
		before += len(c.pending)
	}
	p := h.r.Pass(limit, func(x *Record) {
		visited++
		if x.TSC < started || x.TSC > h.clock.t.Load() || len(x.Stack) > MaxStackSlots*AddressesPerSlot+2*AddressesPerSlot || x.Old > 15 || x.New > 15 {
			h.Fatalf("record %+v", x)
		}
	})
	most := max(limit, 1) + cpus + holes
	if visited != p.Visited || visited > before+most {
		h.Fatalf("limit %d: %+v, %d visited", limit, p, visited)
	}
	for i, c := range h.r.cpus {
		moved := c.tail - tails[i]
		if moved > uint64(most)*(1+MaxExtras) && c.tail != c.reserved {
			h.Errorf("the tail moved by %d", moved)
		}
		if len(c.holes) > maxHoles || len(c.pending) > before+most || len(c.extras) > MaxExtras*len(c.pending) {
			h.Errorf("%d holes, %d pending with %d extra slots", len(c.holes), len(c.pending), len(c.extras))
		}
	}
}

// recover is what an honest process and a reader go on with: all that is written from now on is read, in order.
func (h *hostile) recover() {
	const n = 20
	for cpu := range h.m.geometry.CPUs {
		// An index that the limit wraps behind lets no honest trampoline write any more.
		if head := h.m.header(cpu, OffHead); atomic.LoadUint64(head) > 1<<63 {
			atomic.StoreUint64(head, 0)
		}
	}
	var records []Record
	later := func() {
		h.m.Beat(1 << 62)
		h.clock.t.Add(2 * holeTicks)
		more, _ := all(h.r, 1<<20)
		records = append(records, more...)
	}
	later()
	later()
	for i := range uint64(n) {
		cpu, c := uint32(i%uint64(h.m.geometry.CPUs)), written{goid: 1<<40 + i}
		if h.w.write(cpu, c) {
			continue
		}
		if later(); !h.w.write(cpu, c) {
			h.Fatalf("dropped: head %#x, limit %#x", atomic.LoadUint64(h.m.header(cpu, OffHead)), atomic.LoadUint64(h.m.header(cpu, OffLimit)))
		}
	}
	later()
	next := uint64(1 << 40)
	for _, x := range records {
		if x.GoID == next {
			next++
		}
	}
	if next != 1<<40+n {
		h.Errorf("read %d of %d changes", next-1<<40, n)
	}
}

// FuzzReader has a process that does what it likes with the memory.
func FuzzReader(f *testing.F) {
	for _, seed := range [][]byte{
		{0, 7, 0, 0, 7, 100},
		{0, 0x47, 1, 0x13, 7, 100, 2, 7, 100},
		{0, 1, 3, 0, 6, 40, 7, 100},                                // head far ahead
		{0, 1, 7, 9, 3, 0, 0, 0xfe, 7, 100, 0, 1, 7, 100},          // head back
		{3, 0, 1, 1, 7, 255, 3, 0, 1, 1, 7, 255},                   // laps
		{4, 0, 0x13, 4, 1, 1, 7, 4, 4, 4, 4, 4, 4, 4, 4, 7, 200},   // a slot behind the head
		{0, 0, 4, 0xff, 1, 7, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 7, 50}, // extras that are not there
		{0, 0, 4, 0xff, 0, 4, 0, 7, 50, 0, 0, 4, 0xff, 0, 3, 0, 7, 50},
		{6, 8, 4, 0, 6, 0, 3, 9, 0, 0, 7, 10, 3, 3, 5, 63, 7, 1},
	} {
		f.Add(seed)
	}
	m, err := Open(small)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 4096 {
			return
		}
		clear(m.mem)
		m.Beat(1 << 62)
		m.base = 0
		clock := &counter{}
		clock.t.Store(1 << 40)
		h := &hostile{T: t, program: program, m: m, clock: clock, w: writer{m, clock.now}}
		h.r = newReader(m, func() uint64 {
			// What the process does while a pass is under way.
			if h.r != nil && len(h.open) > 0 && h.byte()%2 == 0 {
				h.disturb()
			}
			return clock.now()
		})
		for len(h.program) > 0 {
			h.step()
		}
		for _, r := range h.open {
			r.commit()
		}
		h.open = nil
		h.recover()
	})
}

// disturb is a step that is no pass.
func (h *hostile) disturb() {
	if len(h.program) > 0 && h.program[0]%8 != 7 {
		h.step()
	}
}

// TestScribbler has a process that writes anything anywhere while the reader reads.
func TestScribbler(t *testing.T) {
	m, clock, w, r := newBench(t, small)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
			}
			cpu := random.Uint32N(small.CPUs)
			head := m.header(cpu, OffHead)
			switch random.IntN(20) {
			case 0:
				atomic.StoreUint64(head, random.Uint64()>>random.IntN(64))
			default:
				index := atomic.AddUint64(head, 1) - 1
				s := &m.ring(cpu)[index&(1<<small.Bits-1)]
				for i := range 3 {
					atomic.StoreUint64(&s[i], random.Uint64())
				}
				atomic.StoreUint64(&s[3], Committed|index>>small.Bits&LapMask|uint64(random.IntN(2))*Extra)
			}
		}
	})
	h := &hostile{T: t, m: m, clock: clock, w: w, r: r}
	chain := NewChain(runtimeStatuses(), 100)
	in, out := 0, 0
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end) || in < 1000; {
		h.pass(100)
		r.Pass(100, func(x *Record) { in++; chain.Add(x, func(*Record) { out++ }) })
	}
	close(stop)
	wait.Wait()
	if chain.Flush(1<<62, func(*Record) { out++ }); in != out || in == 0 {
		t.Errorf("%d records went into the chain, %d came out", in, out)
	}
	h.recover()
}
