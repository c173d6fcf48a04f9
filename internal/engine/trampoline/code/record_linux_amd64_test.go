package code

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// layout is that of a release.
func layout(t *testing.T, release string) *goexe.Layout {
	b, err := os.ReadFile("../../../goexe/layouts.json")
	require.NoError(t, err)
	var all []goexe.Layout
	require.NoError(t, json.Unmarshal(b, &all))
	for _, l := range all {
		if l.GoVersion == release {
			return &l
		}
	}
	require.FailNow(t, "no layout", release)
	return nil
}

// spill is what casgstatus has behind its prologue, but below the stack pointer, as the tests' function has no frame.
var spill = []byte{0x48, 0x89, 0x44, 0x24, 0xf8}

const ret = 0xc3

// callPatch is a Call, and the function that it is in.
func callPatch() (goexe.Patch, []byte) {
	return goexe.Patch{Kind: goexe.Call, Function: "casgstatus", Code: spill, Becomes: 0xff}, append(append([]byte{}, spill...), ret)
}

// swapPatch is a Swap with these registers, and the function that it is in.
func swapPatch(l *goexe.Layout, gp, new reg) (goexe.Patch, []byte) {
	a := newAssembler(0)
	a.emit(lockPrefix)
	a.encode(false, byte(new), mem{gp, int32(l.G.AtomicStatus)}, 0x0f, 0xb1)
	p := goexe.Patch{Kind: goexe.Swap, Function: "swap", Code: a.code, G: uint8(gp), New: uint8(new), Becomes: 0xff}
	return p, append(append([]byte{}, a.code...), ret)
}

// onOneCPU keeps the test on one CPU.
func onOneCPU(t *testing.T) uint64 {
	runtime.LockOSThread()
	var old, one unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &old))
	cpu := 0
	for !old.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	require.NoError(t, unix.SchedSetaffinity(0, &one))
	t.Cleanup(func() {
		unix.SchedSetaffinity(0, &old)
		runtime.UnlockOSThread()
	})
	return uint64(cpu)
}

// ringOf is what is in a CPU's ring.
func (m *machine) header(cpu, word uint64) []byte {
	return m.data[ring.OffHeaders+cpu*ring.HeaderSize+word:][:8]
}

func (m *machine) head(cpu uint64) uint64    { return get(m.header(cpu, ring.OffHead), 0) }
func (m *machine) dropped(cpu uint64) uint64 { return get(m.header(cpu, ring.OffDropped), 0) }

func (m *machine) slot(cpu, i uint64) (words [4]uint64) {
	bits := m.o.Geometry.Bits
	at := m.o.Geometry.Slots() + (cpu<<bits+i&(1<<bits-1))*ring.SlotSize
	for w := range words {
		words[w] = get(m.data, at+uint64(8*w))
	}
	return words
}

// change runs a Call.
func (m *machine) change(old, new uint64) {
	m.run(registers{rax: m.thing(gAt), rbx: old, rcx: new, r14: m.thing(gAt)})
}

func (m *machine) word1(old, new, extras, kinds uint64) uint64 {
	return m.thing(gAt) | old<<ring.ShiftOld | new<<ring.ShiftNew | extras<<ring.ShiftExtras | kinds<<ring.ShiftKinds
}

const idle, runnable, running, syscall, waiting, dead = 0, 1, 2, 3, 4, 6

func TestAChangeTakesOneSlot(t *testing.T) {
	cpu := onOneCPU(t)
	for _, rdpid := range []bool{true, false} {
		if rdpid && !HasRDPID() {
			continue
		}
		m := newMachine(t, layout(t, "go1.26.8"), 4)
		m.o.RDPID = rdpid
		m.field(m.o.Layout.G.Goid, 4711)
		m.things[gAt+uint64(m.o.Layout.G.WaitReason)] = 42
		p, code := callPatch()
		m.load(p, code, true)
		var before uint64
		for i := range uint64(40) {
			m.change(0x1000|running, 0x1000|waiting)
			require.Equal(t, i+1, m.head(cpu))
			s := m.slot(cpu, i)
			require.Greater(t, s[0], before)
			before = s[0]
			require.Equal(t, m.word1(running, waiting, 0, 0), s[1])
			require.Equal(t, uint64(42<<ring.ShiftReason|4711), s[2])
			require.Equal(t, m.thing(mAt)<<ring.ShiftM|ring.Committed|i>>4, s[3])
		}
	}
}

func TestACreationHasAnExtraSlot(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	m.field(m.o.Layout.G.StartPC, 0x111111)
	m.field(m.o.Layout.G.GoPC, 0x222222)
	m.field(m.o.Layout.G.Labels, 0x333333)
	p, code := callPatch()
	m.load(p, code, true)
	m.change(idle, dead)
	require.Equal(t, m.word1(idle, dead, 0, 0), m.slot(cpu, 0)[1])
	for i := uint64(1); i < 41; i += 2 { // also where the ring ends between the two
		m.change(dead, runnable)
		require.Equal(t, i+2, m.head(cpu))
		head, extra := m.slot(cpu, i), m.slot(cpu, i+1)
		require.Equal(t, m.word1(dead, runnable, 1, ring.KindCreation), head[1])
		require.Equal(t, m.thing(mAt)<<ring.ShiftM|ring.Committed|i>>4, head[3])
		require.Equal(t, [4]uint64{0x111111, 0x222222, 0x333333, curg<<ring.ShiftM | ring.Committed | ring.Extra | (i+1)>>4}, extra)
	}
	put(m.things, gAt+uint64(m.o.Layout.G.M), 0)
	m.change(dead, runnable)
	require.Equal(t, uint64(ring.Committed|ring.Extra|42>>4), m.slot(cpu, 42)[3], "no m")
}

// frames makes a stack whose frames have these return addresses, and returns its frame pointer.
func (m *machine) frames(returns []uint64) uint64 {
	first := uint64(stackAt + 0x100)
	for i, pc := range returns {
		at := first + uint64(i)*32
		caller := m.thing(at + 32)
		if i == len(returns)-1 {
			caller = 0
		}
		put(m.things, at, caller)
		put(m.things, at+8, pc)
	}
	return m.thing(first)
}

const base = 0x400000

func addresses(n int) (all []uint64) {
	for i := range n {
		all = append(all, base+uint64(i)*0x10+1)
	}
	return all
}

// stackIn reads addresses of slots.
func (m *machine) stackIn(cpu, from, slots uint64) (relative []uint32) {
	for i := range slots {
		s := m.slot(cpu, from+i)
		require.Equal(m.t, uint64(ring.Committed|ring.Extra|(from+i)>>m.o.Geometry.Bits), s[3])
		for _, w := range s[:3] {
			relative = append(relative, uint32(w), uint32(w>>32))
		}
	}
	return relative
}

func relative(pcs []uint64, slots int) []uint32 {
	all := make([]uint32, slots*ring.AddressesPerSlot)
	for i := range min(len(all), len(pcs)) {
		all[i] = uint32(pcs[i] - base)
	}
	return all
}

func TestABlockedGoroutineHasItsStack(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	p, code := callPatch()
	m.load(p, code, true)
	put(m.data, ring.OffTextBase, base)
	from := uint64(0)
	for _, wanted := range []int{1, 3, 11, 12, 1000} {
		for _, depth := range []int{1, 2, 6, 7, 18, 19, 66, 67, 100} {
			put(m.data, ring.OffStackSlots, uint64(wanted))
			pcs := addresses(depth)
			m.field(m.o.Layout.G.SchedPC, pcs[0])
			m.field(m.o.Layout.G.SchedBP, m.frames(pcs[1:]))
			if depth == 1 {
				m.field(m.o.Layout.G.SchedBP, 0)
			}
			slots := min(wanted, ring.MaxStackSlots)
			for _, new := range []uint64{waiting, syscall} {
				m.change(running, new)
				require.Equal(t, m.word1(running, new, uint64(slots), 0), m.slot(cpu, from)[1])
				require.Equal(t, relative(pcs, slots), m.stackIn(cpu, from+1, uint64(slots)), "%d slots, %d frames", wanted, depth)
				from += uint64(slots) + 1
				require.Equal(t, from, m.head(cpu))
			}
			m.change(running, runnable)
			require.Equal(t, m.word1(running, runnable, 0, 0), m.slot(cpu, from)[1])
			from++
		}
	}
}

func TestSwapsAndCallsChangeNothingElse(t *testing.T) {
	onOneCPU(t)
	l := layout(t, "go1.26.8")
	for _, wants := range []bool{false, true} {
		for gp := rax; gp <= r15; gp++ {
			for new := rcx; new <= r15; new++ {
				if gp == rsp || new == rsp || gp == new || gp == rax {
					continue
				}
				testSwap(t, l, gp, new, wants)
			}
		}
	}
}

func testSwap(t *testing.T, l *goexe.Layout, gp, new reg, wants bool) {
	cpu := onOneCPU(t)
	m := newMachine(t, l, 4)
	if wants {
		put(m.data, ring.OffStackSlots, 3)
		put(m.data, ring.OffWantLabels, 1)
		m.field(l.G.Labels, 0x1234)
	}
	p, code := swapPatch(l, gp, new)
	r := registers{}
	for i := range r {
		r[i] = 0x1111111111111111 * uint64(i)
	}
	r[r14] = m.thing(gAt)
	r[gp], r[rax] = m.thing(gAt), running
	r[new] = uint64(0xabcd)<<32 | waiting
	if new == r14 {
		return // R14 is always a g
	}
	run := func(patch bool) (r2 registers) {
		m.load(p, code, patch)
		binary.NativeEndian.PutUint32(m.things[gAt+uint64(l.G.AtomicStatus):], running)
		r2 = m.run(r)
		require.Equal(t, uint32(waiting), binary.NativeEndian.Uint32(m.things[gAt+uint64(l.G.AtomicStatus):]))
		return r2
	}
	want := run(false)
	require.Equal(t, want, run(true), "%d %d", gp, new)
	if wants {
		require.Equal(t, m.word1(running, waiting, 4, ring.KindLabels), m.slot(cpu, 0)[1])
		require.Equal(t, uint64(0x1234), m.slot(cpu, 1)[0])
	} else {
		require.Equal(t, m.word1(running, waiting, 0, 0), m.slot(cpu, 0)[1])
	}
}
