package code

import (
	"encoding/binary"
	"math"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// armMachine is memory as a process has it: rings, a g with its stack, an m, and a function that changes the g's status.
type armMachine struct {
	t            *testing.T
	o            Options
	data, things []byte
	text         []byte
	ring         uint64 // that of the m
	from         uint64 // the index of the next change
	function     *armFunction
}

// armFunction is a Go function's value, which R26 points at when it is called (cmd/compile/abi-internal.md).
type armFunction struct {
	code                       uint64
	gp, old, new, current, frm uint64
}

const (
	armGAt, armCurgAt, armMAt, armStackAt, armStackSize, armThings = 0x1000, 0x1800, 0x2000, 0x4000, 0x1000, 0x6000
	armTrampolinesAt, armBase                                      = 0x1000, 0x400000
	armRunnable, armRunning, armSyscall, armWaiting                = 1, 2, 3, 4
	armDead                                                        = 6
	armSend                                                        = 15 // a reason to wait for a channel
)

func armMapped(t *testing.T, size uint64) []byte {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Munmap(b) })
	return b
}

func armAddress(b []byte) uint64               { return uint64(uintptr(unsafe.Pointer(&b[0]))) }
func (m *armMachine) put(at, v uint64)         { binary.NativeEndian.PutUint64(m.things[at:], v) }
func (m *armMachine) field(o uint16, v uint64) { m.put(armGAt+uint64(o), v) }
func (m *armMachine) header(word, v uint64)    { binary.NativeEndian.PutUint64(m.data[word:], v) }
func (m *armMachine) thing(at uint64) uint64   { return armAddress(m.things) + at }

func newARMMachine(t *testing.T, release string, p goexe.Patch) *armMachine {
	m := &armMachine{t: t, o: Options{Geometry: ring.Geometry{CPUs: 2, Bits: 4}, Layout: layout(t, release), ChannelReasons: 1 << armSend}, text: armMapped(t, 0x4000), things: armMapped(t, armThings)}
	m.data = armMapped(t, m.o.Geometry.Size())
	m.o.Data = armAddress(m.data)
	m.ring = m.thing(armMAt) * golden >> 63
	m.header(ring.OffDeadline, math.MaxUint64)
	m.header(ring.OffTextBase, armBase)
	m.header(m.word(ring.OffLimit), math.MaxUint64)
	for _, g := range []uint64{armGAt, armCurgAt} {
		m.put(g, m.thing(armStackAt))
		m.put(g+8, m.thing(armStackAt+armStackSize))
	}
	m.field(m.o.Layout.G.M, m.thing(armMAt))
	m.field(m.o.Layout.G.Goid, 4711)
	m.reason(42)
	m.put(armMAt+uint64(m.o.Layout.M.Curg), m.thing(armCurgAt))
	m.load(p)
	return m
}

// reason sets the g's reason to wait.
func (m *armMachine) reason(r byte) { m.things[armGAt+uint64(m.o.Layout.G.WaitReason)] = r }

// word is the offset of a word of the ring's header.
func (m *armMachine) word(word uint64) uint64 { return ring.OffHeaders + m.ring*ring.HeaderSize + word }

func (m *armMachine) get(word uint64) uint64 {
	return binary.NativeEndian.Uint64(m.data[m.word(word):])
}

// load writes a Go function that takes its arguments from its value, has a patch, and leaves there what the patch has left.
func (m *armMachine) load(p goexe.Patch) {
	const sp, context = 31, 26
	at := armAddress(m.text)
	a := newARMAssembler(at)
	a.emit(0xa9be7bfd) // stp x29, x30, [sp, #-32]!
	a.str(x28, sp, 16)
	a.str(context, sp, 24)
	a.ldr(0, context, 8)
	a.ldr(1, context, 16)
	a.ldr(2, context, 24)
	a.ldr(x28, context, 32)
	a.ldr(x29, context, 40)
	a.addImm(6, 0, uint64(p.Above))
	a.mov(7, 1)
	a.mov(8, 2)
	a.cmp(xzr, xzr)
	p.Address = a.here()
	text, jumps, err := AssembleARM64(m.o, at+armTrampolinesAt, 0, []goexe.Patch{p})
	require.NoError(m.t, err)
	a.code = append(a.code, jumps[0].Code...)
	a.ldr(context, sp, 24)
	a.str(0, context, 8)
	a.str(1, context, 16)
	a.str(2, context, 24)
	a.str(x28, context, 32)
	a.str(x29, context, 40)
	a.ldr(x28, sp, 16)
	a.emit(0xa8c27bfd) // ldp x29, x30, [sp], #32
	a.emit(0xd65f03c0) // ret
	require.NoError(m.t, a.err)
	copy(m.text, a.code)
	copy(m.text[armTrampolinesAt:], text)
	require.NoError(m.t, unix.Mprotect(m.text, unix.PROT_READ|unix.PROT_EXEC))
	m.function = &armFunction{code: at}
}

// withoutSignals calls f, in which the register of the current g lies: the runtime's handlers of signals must not see it.
func withoutSignals(t *testing.T, f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = math.MaxUint64
	}
	require.NoError(t, unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before))
	f()
	require.NoError(t, unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil))
}

// change runs the function, and returns the slots that it has taken.
func (m *armMachine) change(old, new, frame uint64) (slots [][4]uint64) {
	*m.function = armFunction{code: m.function.code, gp: m.thing(armGAt), old: old, new: new, current: m.thing(armGAt), frm: frame}
	before := *m.function
	f := *(*func())(unsafe.Pointer(&m.function))
	withoutSignals(m.t, f)
	require.Equal(m.t, before, *m.function)
	for ; m.from < m.get(ring.OffHead); m.from++ {
		var s [4]uint64
		at := m.o.Geometry.Slots() + (m.ring<<m.o.Geometry.Bits+m.from%(1<<m.o.Geometry.Bits))*ring.SlotSize
		for w := range s {
			s[w] = binary.NativeEndian.Uint64(m.data[at+uint64(8*w):])
		}
		want := uint64(ring.Committed | m.from>>m.o.Geometry.Bits)
		if len(slots) > 0 {
			want |= ring.Extra
		}
		require.Equal(m.t, want, s[3]&0xffff)
		slots = append(slots, s)
	}
	if len(slots) > 0 {
		h := slots[0]
		require.Equal(m.t, m.thing(armGAt)|old&15<<ring.ShiftOld|new&15<<ring.ShiftNew|uint64(len(slots)-1)<<ring.ShiftExtras, h[1]&^(15<<ring.ShiftKinds))
		require.Equal(m.t, uint64(m.things[armGAt+uint64(m.o.Layout.G.WaitReason)])<<ring.ShiftReason|4711, h[2])
		require.Equal(m.t, m.thing(armMAt), h[3]>>ring.ShiftM)
	}
	return slots
}

func armPatches() map[string]goexe.Patch {
	call := armCall()
	call.Code = []byte{0x1f, 0x20, 0x03, 0xd5} // nop: the function has no frame to store to
	return map[string]goexe.Patch{"call": call, "swap": armSwap()}
}

func TestARMRecords(t *testing.T) {
	for name, p := range armPatches() {
		m := newARMMachine(t, "go1.26.8", p)
		last := uint64(0)
		for range 40 {
			s := m.change(0x1000|armRunning, 0x1000|armWaiting, 0)
			require.Len(t, s, 1, name)
			require.GreaterOrEqual(t, s[0][0], last)
			last = s[0][0]
		}
	}
}

func TestARMCreationsAndLabels(t *testing.T) {
	for name, p := range armPatches() {
		m := newARMMachine(t, "go1.26.8", p)
		m.field(m.o.Layout.G.StartPC, 0x111111)
		m.field(m.o.Layout.G.GoPC, 0x222222)
		m.field(m.o.Layout.G.Labels, 0x333333)
		m.header(ring.OffWantLabels, 1)
		for range 20 { // also where the ring ends among them
			s := m.change(armDead, armRunnable, 0)
			require.Len(t, s, 2, name)
			require.EqualValues(t, ring.KindCreation, s[0][1]>>ring.ShiftKinds)
			require.Equal(t, []uint64{0x111111, 0x222222, 0x333333, m.thing(armCurgAt)}, append(s[1][:3:3], s[1][3]>>ring.ShiftM))
			require.Len(t, m.change(armDead, armDead, 0), 1)
			s = m.change(armRunning, armRunnable, 0)
			require.EqualValues(t, ring.KindLabels, s[0][1]>>ring.ShiftKinds)
			require.Equal(t, []uint64{0x333333, 0, 0, 0}, append(s[1][:3:3], s[1][3]>>ring.ShiftM))
			require.Len(t, m.change(armRunnable, armRunning, 0), 1)
		}
	}
}

func TestARMWakingTellsTheChannel(t *testing.T) {
	const sudogAt, channelAt = 0x3000, 0x3800
	for name, p := range armPatches() {
		m := newARMMachine(t, "go1.26.8", p)
		m.put(sudogAt+uint64(m.o.Layout.Sudog.C), m.thing(channelAt))
		m.put(channelAt+uint64(m.o.Layout.Hchan.DataQSiz), 7)
		m.field(m.o.Layout.G.Param, m.thing(sudogAt))
		m.reason(armSend)
		require.Len(t, m.change(armWaiting, armRunnable, 0), 1, "nobody wants it")
		m.header(ring.OffStackSlots, 3)
		s := m.change(armWaiting, armRunnable, 0)
		require.Len(t, s, 2, name)
		require.EqualValues(t, ring.KindChannel, s[0][1]>>ring.ShiftKinds)
		require.Equal(t, []uint64{m.thing(channelAt), 7, 0, 0}, append(s[1][:3:3], s[1][3]>>ring.ShiftM))
		m.field(m.o.Layout.G.Param, 0)
		s = m.change(armWaiting, armRunnable, 0)
		require.Equal(t, []uint64{0, 0, 0, 0}, append(s[1][:3:3], s[1][3]>>ring.ShiftM))
		for _, other := range []byte{armSend + 1, armSend + 64} {
			m.reason(other)
			require.Len(t, m.change(armWaiting, armRunnable, 0), 1, name)
		}
	}
}

// frames makes a stack with some return addresses.
func (m *armMachine) frames(n uint64) uint64 {
	for i := range n {
		caller := m.thing(armStackAt + 32*(i+1))
		if i == n-1 {
			caller = 0
		}
		m.put(armStackAt+32*i, caller)
		m.put(armStackAt+32*i+8, armBase+i+1)
	}
	return m.thing(armStackAt)
}

// stack returns the addresses of some slots.
func stack32(slots [][4]uint64) (all []uint32) {
	for _, s := range slots {
		for _, w := range s[:3] {
			all = append(all, uint32(w), uint32(w>>32))
		}
	}
	return all
}

func TestARMStacks(t *testing.T) {
	for name, p := range armPatches() {
		for _, release := range []string{"go1.20.14", "go1.26.8"} {
			m := newARMMachine(t, release, p)
			for _, labels := range []uint64{0, 1} {
				m.header(ring.OffWantLabels, labels)
				m.field(m.o.Layout.G.Labels, 0x333333)
				for _, wanted := range []uint64{1, 3, 11, 1000} {
					for _, depth := range []uint64{1, 5, 6, 30, 100} {
						m.header(ring.OffStackSlots, wanted)
						bp := m.frames(depth)
						m.field(m.o.Layout.G.SchedPC, armBase+0x7777)
						m.field(m.o.Layout.G.SchedBP, bp)
						slots := int(min(wanted, ring.MaxStackSlots))
						want := []uint32{0x7777}
						for i := range depth {
							want = append(want, uint32(i+1))
						}
						want = append(want, make([]uint32, 100)...)
						s := m.change(armRunning, armWaiting, 0)
						require.Len(t, s, 1+int(labels)+slots, name)
						require.Equal(t, want[:6*slots], stack32(s[1+labels:]))
						s = m.change(armRunning, armSyscall, bp)
						if m.o.Layout.Traits().LiveSyscalls {
							want = want[1:]
						}
						require.Equal(t, want[:6*slots], stack32(s[1+labels:]))
					}
				}
			}
		}
	}
}

func TestAnARMCreationHasTheStackOfItsCreator(t *testing.T) {
	for name, p := range armPatches() {
		for _, release := range []string{"go1.20.14", "go1.26.8"} {
			m := newARMMachine(t, release, p)
			m.field(m.o.Layout.G.StartPC, 0x111111)
			for _, wanted := range []uint64{0, 1, 3, 11, 1000} {
				for _, depth := range []uint64{1, 5, 6, 30, 100} {
					m.header(ring.OffStackSlots, wanted)
					m.put(armCurgAt+uint64(m.o.Layout.G.SchedPC), armBase+0x7777)
					m.put(armCurgAt+uint64(m.o.Layout.G.SchedBP), m.frames(depth))
					want := []uint32{0x7777}
					for i := range depth {
						want = append(want, uint32(i+1))
					}
					want = append(want, make([]uint32, 100)...)
					s := m.change(armDead, armRunnable, 0)
					slots := int(min(wanted, ring.MaxStackSlots))
					require.Len(t, s, 2+slots, name)
					require.EqualValues(t, ring.KindCreation, s[0][1]>>ring.ShiftKinds)
					require.Equal(t, []uint64{0x111111, m.thing(armCurgAt)}, []uint64{s[1][0], s[1][3] >> ring.ShiftM})
					require.Equal(t, want[:6*slots], append([]uint32{}, stack32(s[2:])...))
				}
			}
			m.put(armMAt+uint64(m.o.Layout.M.Curg), 0)
			s := m.change(armDead, armRunnable, 0)
			require.Len(t, s, 2, "no creator")
			require.Zero(t, s[1][3]>>ring.ShiftM)
		}
	}
}

func TestNoARMStackCanLeadAway(t *testing.T) {
	m := newARMMachine(t, "go1.26.8", armPatches()["swap"])
	require.NoError(t, unix.Mprotect(m.things[armStackAt-0x1000:armStackAt], unix.PROT_NONE))
	require.NoError(t, unix.Mprotect(m.things[armStackAt+armStackSize:], unix.PROT_NONE))
	m.header(ring.OffStackSlots, 1)
	m.field(m.o.Layout.G.SchedPC, armBase-1)
	lo, hi := m.thing(armStackAt), m.thing(armStackAt+armStackSize)
	m.put(armStackAt+armStackSize-8, armBase+0x99)
	for name, c := range map[string]struct {
		lo, hi, bp, caller uint64
		want               []uint32
	}{
		"last frame":      {lo, hi, hi - 16, 0, []uint32{ring.NoAddress, 0x99, 0, 0, 0, 0}},
		"one behind it":   {lo, hi, hi - 15, 0, []uint32{ring.NoAddress, 0, 0, 0, 0, 0}},
		"below":           {lo, hi, lo - 8, 0, []uint32{ring.NoAddress, 0, 0, 0, 0, 0}},
		"leads out":       {lo, hi, lo, hi - 8, []uint32{ring.NoAddress, 0x55, 0, 0, 0, 0}},
		"leads to itself": {lo, hi, lo, lo, []uint32{ring.NoAddress, 0x55, 0, 0, 0, 0}},
		"to the last":     {lo, hi, lo, hi - 16, []uint32{ring.NoAddress, 0x55, 0x99, 0, 0, 0}},
		"no power of two": {lo - 16, hi, lo - 16, 0, []uint32{ring.NoAddress, 0, 0, 0, 0, 0}},
		"no stack":        {0, 0, 8, 0, []uint32{ring.NoAddress, 0, 0, 0, 0, 0}},
		"none with room":  {0, 8, 1, 0, []uint32{ring.NoAddress, 0, 0, 0, 0, 0}},
	} {
		m.put(armGAt, c.lo)
		m.put(armGAt+8, c.hi)
		m.put(armStackAt, c.caller)
		m.put(armStackAt+8, armBase+0x55)
		m.field(m.o.Layout.G.SchedBP, c.bp)
		require.Equal(t, c.want, stack32(m.change(armRunning, armWaiting, 0)[1:]), name)
	}
}

func TestARMDrops(t *testing.T) {
	for name, p := range armPatches() {
		m := newARMMachine(t, "go1.26.8", p)
		m.header(ring.OffStackSlots, 3)
		m.header(m.word(ring.OffLimit), 6)
		require.Len(t, m.change(armDead, armRunnable, 0), 5, name)
		require.Empty(t, m.change(armRunning, armWaiting, 0))
		require.Empty(t, m.change(armDead, armRunnable, 0))
		require.Len(t, m.change(armRunnable, armRunning, 0), 1)
		require.Empty(t, m.change(armRunnable, armRunning, 0))
		m.header(m.word(ring.OffLimit), math.MaxUint64)
		m.header(ring.OffDeadline, 0)
		require.Empty(t, m.change(armRunnable, armRunning, 0))
		require.EqualValues(t, 4, m.get(ring.OffDropped))
	}
}
