//go:build linux

package ring

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var small = Geometry{CPUs: 2, Bits: 8}

func TestRecords(t *testing.T) {
	const base = 0x400000
	plain := written{g: 0xc000001000, goid: 7, m: 0xc000100000, old: 2, new: 4, reason: 13}
	with := func(change func(*written)) written {
		c := plain
		change(&c)
		return c
	}
	record := func(change func(*Record)) Record {
		r := Record{G: plain.g, GoID: 7, M: plain.m, Old: 2, New: 4, Reason: 13}
		change(&r)
		return r
	}
	deep := make([]uint32, MaxStackSlots*AddressesPerSlot)
	var deepStack []uint64
	for i := range deep {
		deep[i] = uint32(i + 1)
		deepStack = append(deepStack, base+uint64(i)+1)
	}
	tests := map[string]struct {
		change written
		want   Record
	}{
		"plain": {plain, record(func(*Record) {})},
		"all bits": {
			written{g: pointerMask, goid: 1<<56 - 1, m: pointerMask, old: 15, new: 15, reason: 255},
			Record{G: pointerMask, GoID: 1<<56 - 1, M: pointerMask, Old: 15, New: 15, Reason: 255},
		},
		"creation": {
			with(func(w *written) { w.creation = &[4]uint64{base, base + 9, 0xc000002000, 0xc000003000} }),
			record(func(r *Record) {
				r.Created, r.StartPC, r.CreationPC, r.ParentG = true, base, base+9, 0xc000003000
				r.HasLabels, r.Labels = true, 0xc000002000
			}),
		},
		"labels": {
			with(func(w *written) { w.labels = 0xc000002000 }),
			record(func(r *Record) { r.HasLabels, r.Labels = true, 0xc000002000 }),
		},
		"leaf stack": {
			with(func(w *written) { w.stack = []uint32{16, NoAddress, 32, 0, 0, 0} }),
			record(func(r *Record) { r.Stack = []uint64{base + 16, 0, base + 32} }),
		},
		"all": {
			with(func(w *written) {
				w.creation, w.labels, w.stack = &[4]uint64{base, base, 1, 2}, 3, deep
			}),
			record(func(r *Record) {
				r.Created, r.StartPC, r.CreationPC, r.ParentG, r.HasLabels, r.Labels, r.Stack = true, base, base, 2, true, 3, deepStack
			}),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, _, w, r := newBench(t, small)
			m.SetTextBase(base)
			// Many laps, so that the extra slots of some lie across the end of the ring.
			for range 400 {
				if !w.write(1, test.change) {
					t.Fatal("dropped")
				}
				got, lossy := all(r, 1000)
				if len(got) != 1 || lossy {
					t.Fatalf("got %d records, lossy %v", len(got), lossy)
				}
				got[0].TSC = 0
				if len(got[0].Stack) == 0 {
					got[0].Stack = nil
				}
				clearUnknown(&got[0])
				if diff := cmp.Diff(test.want, got[0]); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

// clearUnknown clears what a record says nothing of.
func clearUnknown(r *Record) {
	if !r.Created {
		r.StartPC, r.CreationPC, r.ParentG = 0, 0, 0
	}
	if !r.HasLabels {
		r.Labels = 0
	}
}

// TestItems has records of items, of which one tells of nothing that may happen to an item: none is taken for a change.
func TestItems(t *testing.T) {
	for operation, want := range map[uint64]uint8{Sent: Sent, Received: Received, Taken: Taken, 0: noOperation, 9: 9} {
		_, _, w, r := newBench(t, small)
		at, _ := w.reserve(0, written{})
		at.put(at.index, slot{at.tsc, 0xc000010000 | operation<<ShiftOld | KindItem<<ShiftKinds, 0, 0xc000001000}, 0)
		got, _ := all(r, 10)
		if len(got) != 1 || got[0].Item != want || got[0].Channel != 0xc000010000 || got[0].G != 0xc000001000 {
			t.Errorf("operation %d: %+v", operation, got)
		}
	}
}

// TestOrder has changes on several CPUs, and limits that cut rings, and sees all in the order of their clocks.
func TestOrder(t *testing.T) {
	for _, limit := range []int{1, 7, 100, 100000} {
		_, _, w, r := newBench(t, Geometry{CPUs: 5, Bits: 10})
		var want, got []uint64
		read := func() PassResult {
			return r.Pass(limit, func(x *Record) {
				got = append(got, x.GoID)
				if len(x.Stack) > 0 != (x.GoID%3 == 0) || len(x.Stack) > 0 && x.Stack[6] != x.GoID+1 {
					t.Fatalf("stack of %d is %v", x.GoID, x.Stack)
				}
			})
		}
		for i := range uint64(3000) {
			c := written{g: 64, goid: i, old: 1, new: 2}
			if i%3 == 0 {
				c.stack = []uint32{1, 2, 3, 4, 5, 6, uint32(i) + 1}
			}
			// One CPU is busier than the others.
			if !w.write(uint32(max(0, int(i%9)-4)), c) {
				t.Fatal("dropped")
			}
			want = append(want, i)
			if i%100 == 99 {
				before := len(got)
				p := read()
				if p.Visited > limit+5 || p.Visited != len(got)-before || p.Lossy {
					t.Fatalf("limit %d: %+v, %d visited", limit, p, len(got)-before)
				}
				for p.Backlog > 300 {
					p = read()
				}
			}
		}
		for read().Backlog > 0 {
		}
		if !slices.Equal(want, got) {
			t.Fatalf("limit %d: %d of %d records in order", limit, len(got), len(want))
		}
	}
}

// TestHoles has writers that lose their CPU between reservation and commit.
func TestHoles(t *testing.T) {
	m, _, w, r := newBench(t, small)
	ids := func() (ids []uint64) {
		records, lossy := all(r, 1000)
		if lossy {
			t.Error("lossy")
		}
		for _, x := range records {
			ids = append(ids, x.GoID)
		}
		return ids
	}
	limit := func() uint64 { return atomic.LoadUint64(m.header(0, OffLimit)) }
	space := limit()
	w.write(0, written{goid: 1})
	first, _ := w.reserve(0, written{goid: 2, stack: make([]uint32, 3*AddressesPerSlot), labels: 5})
	w.write(0, written{goid: 3, labels: 5})
	second, _ := w.reserve(0, written{goid: 4})
	w.write(0, written{goid: 5})
	if got := ids(); !slices.Equal(got, []uint64{1, 3, 5}) {
		t.Errorf("with holes: %v", got)
	}
	if got := limit(); got != first.index+space {
		t.Errorf("limit is %d, not %d behind the oldest hole", got, space)
	}
	// An extra slot of the first, as if it had lost its CPU before its head was committed.
	first.put(first.index+2, slot{}, Extra)
	second.commit()
	w.write(0, written{goid: 6})
	if got := ids(); !slices.Equal(got, []uint64{4, 6}) {
		t.Errorf("with one hole: %v", got)
	}
	if got := limit(); got != first.index+space {
		t.Errorf("limit is %d, not %d behind the oldest hole", got, space)
	}
	first.commit()
	if got := ids(); !slices.Equal(got, []uint64{2}) {
		t.Errorf("without holes: %v", got)
	}
	if got, head := limit(), atomic.LoadUint64(m.header(0, OffHead)); got != head+space {
		t.Errorf("limit is %d, not %d behind the head", got, space)
	}
}

// TestDrops fills a ring, and has the changes of the time of the drops, and no later ones, uncertain.
func TestDrops(t *testing.T) {
	m, _, w, r := newBench(t, small)
	n := uint64(0)
	for w.write(0, written{goid: n}) {
		n++
	}
	if n != 1<<small.Bits-64 || m.Dropped() != 1 {
		t.Errorf("%d fit, %d dropped", n, m.Dropped())
	}
	got, lossy := all(r, 50)
	if uint64(len(got)) != n || !lossy || !got[0].Uncertain {
		t.Errorf("%d records, lossy %v", len(got), lossy)
	}
	all(r, 50)
	w.write(0, written{goid: n})
	if got, lossy := all(r, 50); len(got) != 1 || lossy || got[0].Uncertain {
		t.Errorf("after: %v, lossy %v", got, lossy)
	}
	m.Beat(0)
	if w.write(1, written{}) || m.Dropped() != 2 {
		t.Error("written past the deadline")
	}
}

// TestDisorder has changes whose clocks are in any order in the ring, with some that are the same.
func TestDisorder(t *testing.T) {
	tests := map[string]func(i uint64) uint64{
		"pairs":  func(i uint64) uint64 { return i ^ 1 },
		"back":   func(i uint64) uint64 { return 1000 - i },
		"hashed": func(i uint64) uint64 { return i * 7919 % 1009 },
		"equal":  func(i uint64) uint64 { return i / 8 },
		"steps":  func(i uint64) uint64 { return (1000 - i) / 8 },
	}
	for name, clock := range tests {
		t.Run(name, func(t *testing.T) {
			const n = 160
			_, now, w, r := newBench(t, small)
			began := now.t.Load()
			now.t.Add(2000)
			for i := range uint64(n) {
				c, ok := w.reserveAt(0, began+clock(i), written{goid: i, stack: []uint32{uint32(i) + 1}[:i%10/9]})
				if !ok {
					t.Fatal("dropped")
				}
				c.commit()
			}
			got, _ := all(r, 1000)
			for i, x := range got {
				if i > 0 && (x.TSC < got[i-1].TSC || x.TSC == got[i-1].TSC && x.GoID < got[i-1].GoID) {
					t.Fatalf("%+v after %+v", x, got[i-1])
				}
				if len(x.Stack) != int(x.GoID%10/9) || len(x.Stack) > 0 && x.Stack[0] != x.GoID+1 {
					t.Fatalf("stack of %d is %v", x.GoID, x.Stack)
				}
			}
			if len(got) != n {
				t.Errorf("%d records", len(got))
			}
		})
	}
}

// TestImpossibleClocks has clocks from before the reader and from the time to come: they do not stay, and do not hold others up.
func TestImpossibleClocks(t *testing.T) {
	_, now, w, r := newBench(t, small)
	began := now.t.Load()
	for i, tsc := range []uint64{0, 1 << 61, began + 1, 1 << 60, 3} {
		c, _ := w.reserveAt(0, tsc, written{goid: uint64(i)})
		c.commit()
	}
	got, _ := all(r, 10)
	for _, x := range got {
		if x.TSC < began || x.TSC > now.t.Load() {
			t.Errorf("%+v", x)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d records", len(got))
	}
}

// TestOverrun has threads that saw room at once and together wrote over what was not yet read.
func TestOverrun(t *testing.T) {
	m, _, w, r := newBench(t, small)
	lost, _ := w.reserve(0, written{goid: 1})
	atomic.StoreUint64(m.header(0, OffLimit), 1<<40)
	all(r, 1000) // the hole is known
	atomic.StoreUint64(m.header(0, OffLimit), 1<<40)
	for i := range uint64(1 << small.Bits) {
		w.write(0, written{goid: 2 + i})
	}
	n := 0
	if p := r.Pass(1000, func(x *Record) {
		if n++; !x.Uncertain {
			t.Fatalf("certain: %+v", x)
		}
	}); p.Lost != 1 || !p.Lossy || n != 1<<small.Bits {
		t.Errorf("%+v", p)
	}
	lost.commit()
	all(r, 1000)
	w.write(0, written{goid: 3})
	if got, lossy := all(r, 1000); len(got) != 1 || lossy {
		t.Errorf("after: %v, lossy %v", got, lossy)
	}
	atomic.StoreUint64(m.header(0, OffLimit), 1<<40)
	for range 2 << small.Bits {
		w.write(0, written{goid: 4})
	}
	if got, lossy := all(r, 1000); len(got) != 0 || !lossy {
		t.Errorf("lapped: %v, lossy %v", got, lossy)
	}
}

// TestDeadHole has a writer that never commits: it holds up a full ring for some seconds.
func TestDeadHole(t *testing.T) {
	_, now, w, r := newBench(t, small)
	fill := func() (n int) {
		for w.write(0, written{}) {
			n++
		}
		return n
	}
	if _, ok := w.reserve(0, written{stack: make([]uint32, 60)}); !ok {
		t.Fatal("dropped")
	}
	now.t.Add(2 * holeTicks)
	all(r, 1000)
	now.t.Add(2 * holeTicks)
	all(r, 1000)
	if n := fill(); n != 3<<small.Bits/4-11 {
		t.Fatalf("%d changes fit behind the hole", n)
	}
	if p := r.Pass(1000, func(*Record) {}); p.Lost != 11 || !p.Lossy {
		t.Errorf("not the slots of the hole are lost: %+v", p)
	}
	if n := fill(); n != 3<<small.Bits/4 {
		t.Errorf("%d changes fit when the hole was given up", n)
	}
}

// TestWater has changes that are made while a pass is under way: what it may have missed an older one of waits for the next.
func TestWater(t *testing.T) {
	m, _, w, _ := newBench(t, small)
	put := func(cpu uint32, tsc, id uint64) func() {
		return func() {
			c, _ := w.reserveAt(cpu, tsc, written{goid: id})
			c.commit()
		}
	}
	const start, before, after = 1000, 1010, 1020
	// The first ring is read when it has a change already, the second before it has an older one.
	during := map[uint64]func(){before: put(0, before+5, 2), after: put(1, before+2, 1)}
	clock := uint64(start - 10)
	r := newReader(m, func() uint64 {
		clock += 10
		if do := during[clock]; do != nil {
			do()
		}
		return clock
	})
	var got []uint64
	for range 3 {
		r.Pass(10, func(x *Record) { got = append(got, x.GoID) })
	}
	if !slices.Equal(got, []uint64{1, 2}) {
		t.Error(got)
	}
}

// TestForgedExtras has heads that claim extra slots which are not there.
func TestForgedExtras(t *testing.T) {
	tests := map[string]struct {
		extras, kinds, reserved int
		commit                  uint64
		stack                   int
	}{
		"true":           {extras: 2, reserved: 2, commit: Extra, stack: 12},
		"too many":       {extras: 15, reserved: 15, commit: Extra},
		"not reserved":   {extras: 3, reserved: 1, commit: Extra},
		"heads":          {extras: 3, reserved: 3},
		"not committed":  {extras: 3, reserved: 3, commit: Committed | Extra},
		"only kinds":     {kinds: KindCreation | KindLabels},
		"more kinds":     {extras: 1, kinds: KindCreation | KindLabels, reserved: 1, commit: Extra},
		"kind and stack": {extras: 2, kinds: KindLabels, reserved: 2, commit: Extra, stack: 6},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, _, w, r := newBench(t, small)
			head, _ := w.reserve(0, written{goid: 1})
			atomic.AddUint64(m.header(0, OffHead), uint64(test.reserved))
			for i := range uint64(15) {
				head.put(head.index+1+i, slot{1<<32 | 1, 1<<32 | 1, 1<<32 | 1}, test.commit)
				if test.commit == Committed|Extra { // the bit of each committed slot is missing
					m.ring(0)[head.index+1+i][3] &^= Committed
				}
			}
			head.put(head.index, slot{head.tsc, uint64(test.extras)<<ShiftExtras | uint64(test.kinds)<<ShiftKinds, 1}, 0)
			got, _ := all(r, 100)
			if len(got) == 0 || got[0].GoID != 1 || len(got[0].Stack) != test.stack || got[0].Created != (test.extras > 0 && test.kinds&KindCreation != 0) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestManyExtras has more extra slots than can be kept at once, in a ring and in holes.
func TestManyExtras(t *testing.T) {
	_, _, w, r := newBench(t, Geometry{CPUs: 1, Bits: 18})
	open := []reservation{}
	reserve := func(n int) {
		for range n {
			c, ok := w.reserve(0, written{goid: uint64(len(open)), labels: uint64(len(open)) + 1, stack: make([]uint32, 66)})
			if !ok {
				t.Fatal("dropped")
			}
			open = append(open, c)
		}
	}
	commit := func() {
		for _, c := range open {
			c.commit()
		}
	}
	reserve(maxHoles / 13)
	all(r, 1<<20)
	reserve(10_000)
	commit()
	got, _ := all(r, 1<<20)
	if len(got) != len(open) {
		t.Fatalf("%d of %d records", len(got), len(open))
	}
	for i, x := range got {
		if x.GoID != uint64(i) || x.Labels != uint64(i)+1 {
			t.Fatalf("%d is %+v", i, x)
		}
	}
}

// TestForgedHead has a head that claims more holes than are remembered.
func TestForgedHead(t *testing.T) {
	m, now, w, r := newBench(t, Geometry{CPUs: 1, Bits: 14})
	atomic.AddUint64(m.header(0, OffHead), 3*maxHoles)
	if _, lossy := all(r, 1<<20); !lossy {
		t.Error("nothing was lost")
	}
	if n := len(r.cpus[0].holes); n != maxHoles {
		t.Errorf("%d holes", n)
	}
	for w.write(0, written{}) {
	}
	now.t.Add(2 * holeTicks)
	all(r, 1<<20)
	if n := len(r.cpus[0].holes); n != 0 {
		t.Errorf("%d holes in a full ring, later", n)
	}
}

// TestCounterSetBack has a counter that begins anew, with changes from before and after that.
func TestCounterSetBack(t *testing.T) {
	_, now, w, r := newBench(t, small)
	now.t.Store(1 << 40)
	w.write(0, written{goid: 1})
	all(r, 10)
	w.write(0, written{goid: 2})
	now.t.Store(10)
	w.write(0, written{goid: 3})
	var got []Record
	for range 3 {
		r.Pass(10, func(x *Record) { got = append(got, *x) })
	}
	if len(got) != 2 || !got[0].Uncertain || !got[1].Uncertain || got[0].TSC > now.t.Load() || got[1].TSC > now.t.Load() {
		t.Errorf("at the change: %+v", got)
	}
	w.write(1, written{goid: 4})
	if got, lossy := all(r, 10); len(got) != 1 || lossy {
		t.Errorf("after it: %+v, lossy %v", got, lossy)
	}
}

// TestForgedLimit has a limit that the process moved while its rings were empty.
func TestForgedLimit(t *testing.T) {
	m, _, w, r := newBench(t, small)
	atomic.StoreUint64(m.header(0, OffLimit), 0)
	all(r, 10)
	if !w.write(0, written{}) {
		t.Error("the limit was not put right")
	}
}

// TestHeldUp has one ring, always with more than is read at once, that keeps the records of another from being older: few are kept.
func TestHeldUp(t *testing.T) {
	const limit = 10
	_, now, w, r := newBench(t, Geometry{CPUs: 2, Bits: 12})
	old := now.now()
	written0, visited := 0, 0
	for range 100 {
		for range limit {
			c, ok := w.reserveAt(0, old, written{})
			if ok {
				c.commit()
				written0++
			}
			if w.write(1, written{}) {
				written0++
			}
		}
		visited += r.Pass(limit, func(*Record) {}).Visited
		if n := len(r.cpus[1].pending); n > limit {
			t.Fatalf("%d are kept", n)
		}
	}
	got, lossy := all(r, limit)
	if visited += len(got); visited != written0 || lossy {
		t.Errorf("%d of %d visited, lossy %v", visited, written0, lossy)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	_, _, w, r := newBench(t, Geometry{CPUs: 2, Bits: 12})
	c := NewChain(runtimeStatuses(), 100)
	emitted := 0
	emit := func(*Record) { emitted++ }
	visit := func(x *Record) { x.Uncertain = false; c.Add(x, emit) }
	pass := func() {
		for i := range uint64(300) {
			change := written{g: 512 * (i % 10), old: uint8(i * 3 % 5), new: uint8(i % 4)}
			if i%3 == 0 {
				change.stack = leaf
			}
			w.write(uint32(i%2), change)
		}
		hole, _ := w.reserve(0, written{g: 512})
		r.Pass(100, visit)
		r.Pass(1000, visit)
		hole.commit()
		r.Pass(1000, visit)
	}
	pass()
	pass()
	if n := testing.AllocsPerRun(100, pass); n != 0 || emitted == 0 || c.Misfits == 0 {
		t.Errorf("%v allocations, %d emitted, %d misfits", n, emitted, c.Misfits)
	}
}

var leaf = []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9}
