package code

import (
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

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

// Whoever ends a wait for a channel leaves in g.param what waited there.
func TestWakingTellsTheChannel(t *testing.T) {
	cpu := onOneCPU(t)
	const send, sudogAt, channelAt = 15, 0x3000, 0x3800
	for _, wants := range []bool{true, false} {
		m := newMachine(t, layout(t, "go1.26.8"), 4)
		m.o.ChannelReasons = 1 << send
		put(m.things, sudogAt+uint64(m.o.Layout.Sudog.C), m.thing(channelAt))
		put(m.things, channelAt+uint64(m.o.Layout.Hchan.DataQSiz), 7)
		if wants {
			put(m.data, ring.OffStackSlots, 3)
		}
		p, code := callPatch()
		m.load(p, code, true)
		next := uint64(0)
		wake := func(reason byte, param, extras, kinds uint64) {
			m.things[gAt+uint64(m.o.Layout.G.WaitReason)] = reason
			m.field(m.o.Layout.G.Param, param)
			m.change(waiting, runnable)
			require.Equal(t, m.word1(waiting, runnable, extras, kinds), m.slot(cpu, next)[1])
			next += 1 + extras
			require.Equal(t, next, m.head(cpu))
		}
		wake(send+1, m.thing(sudogAt), 0, 0)
		if !wants {
			wake(send, m.thing(sudogAt), 0, 0)
			continue
		}
		wake(send, m.thing(sudogAt), 1, ring.KindChannel)
		require.Equal(t, [4]uint64{m.thing(channelAt), 7, 0, ring.Committed | ring.Extra}, m.slot(cpu, next-1))
		wake(send, 0, 1, ring.KindChannel)
		require.Equal(t, [4]uint64{0, 0, 0, ring.Committed | ring.Extra}, m.slot(cpu, next-1))
	}
}

// Items are recorded of channels that are looked for, and registers that are alive stay as they are.
func TestItemsOfChannels(t *testing.T) {
	cpu := onOneCPU(t)
	const sudogAt, channelAt, sender = 0x3000, 0x3800, 0xc000004711
	for _, rdpid := range []bool{true, false} {
		if rdpid && !HasRDPID() {
			continue
		}
		for kind, channel := range map[goexe.Kind]reg{goexe.Sent: rdx, goexe.Received: r8, goexe.Taken: rax} {
			m := newMachine(t, layout(t, "go1.26.8"), 4)
			m.o.RDPID = rdpid
			put(m.things, sudogAt, sender)
			put(m.things, channelAt+uint64(m.o.Layout.Hchan.SendX), 5)
			put(m.things, channelAt+uint64(m.o.Layout.Hchan.RecvX), 3)
			p, code := itemPatch(kind, channel)
			m.load(p, code, true)
			before := registers{rax: 1, rbx: m.thing(sudogAt), rcx: 3, rsi: 4, rdi: 5, r14: m.thing(gAt)}
			before[channel] = m.thing(channelAt)
			run := func(records uint64) {
				after := m.run(before)
				require.Equal(t, records, m.head(cpu))
				if kind == goexe.Taken {
					for _, r := range []reg{rax, rbx, rcx, rsi, rdi, r14} {
						require.Equal(t, before[r], after[r], "%d", r)
					}
				}
			}
			run(0) // none is looked for
			put(m.data, ring.OffChannelCount, 1)
			run(0) // another is
			put(m.data, ring.OffChannels+8*ring.ChannelIndex(m.thing(channelAt)), m.thing(channelAt))
			run(1)
			s := m.slot(cpu, 0)
			require.Equal(t, m.thing(channelAt)|operations[kind]<<ring.ShiftOld|ring.KindItem<<ring.ShiftKinds, s[1])
			if kind == goexe.Taken {
				require.Equal(t, uint64(3<<ring.ShiftTakenX|sender), s[2])
			} else {
				require.Equal(t, uint64(3<<ring.ShiftRecvX|5), s[2])
			}
			require.Equal(t, m.thing(gAt)<<ring.ShiftM|ring.Committed, s[3])
			put(m.data, ring.OffDeadline, 0)
			run(1)
			require.Equal(t, uint64(1), m.dropped(cpu))
		}
	}
}

// A lap has fewer bits than an index, and none of them may get into others.
func TestLapsBeginAnew(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	p, code := callPatch()
	m.load(p, code, true)
	for _, lap := range []uint64{ring.LapMask, ring.LapMask + 1, 0x123456789} {
		from := lap<<4 - 1
		put(m.header(cpu, ring.OffHead), 0, from)
		m.change(dead, runnable)
		m.change(dead, runnable)
		for i := from; i < from+4; i += 2 {
			require.Equal(t, m.thing(mAt)<<ring.ShiftM|ring.Committed|i>>4&ring.LapMask, m.slot(cpu, i)[3])
			require.Equal(t, m.thing(curgAt)<<ring.ShiftM|ring.Committed|ring.Extra|(i+1)>>4&ring.LapMask, m.slot(cpu, i+1)[3])
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
		require.Equal(t, [4]uint64{0x111111, 0x222222, 0x333333, m.thing(curgAt)<<ring.ShiftM | ring.Committed | ring.Extra | (i+1)>>4}, extra)
	}
	put(m.things, gAt+uint64(m.o.Layout.G.M), 0)
	m.change(dead, runnable)
	require.Equal(t, uint64(ring.Committed|ring.Extra|42>>4), m.slot(cpu, 42)[3], "no m")
}

// The creator's stack is behind the creation, if stacks are wanted and there is a creator.
func TestACreationHasTheStackOfItsCreator(t *testing.T) {
	cpu := onOneCPU(t)
	for _, release := range []string{"go1.20.14", "go1.26.8"} {
		m := newMachine(t, layout(t, release), 4)
		p, code := callPatch()
		m.load(p, code, true)
		put(m.data, ring.OffTextBase, base)
		m.field(m.o.Layout.G.StartPC, 0x111111)
		m.field(m.o.Layout.G.Goid, 4711)
		from := uint64(0)
		create := func(creator uint64, want []uint32) {
			m.change(dead, runnable)
			slots := uint64(len(want) / ring.AddressesPerSlot)
			head, extra := m.slot(cpu, from), m.slot(cpu, from+1)
			require.Equal(t, m.word1(dead, runnable, 1+slots, ring.KindCreation), head[1])
			require.Equal(t, uint64(4711), head[2])
			require.Equal(t, []uint64{0x111111, creator<<ring.ShiftM | ring.Committed | ring.Extra | (from+1)>>4}, []uint64{extra[0], extra[3]})
			require.Equal(t, want, append([]uint32{}, m.stackIn(cpu, from+2, slots)...))
			from += 2 + slots
			require.Equal(t, from, m.head(cpu))
		}
		for _, wanted := range []int{1, 3, 11, 1000} {
			for _, depth := range []int{2, 6, 7, 40, 100} {
				put(m.data, ring.OffStackSlots, uint64(wanted))
				pcs := addresses(depth)
				put(m.things, curgAt+uint64(m.o.Layout.G.SchedPC), pcs[0])
				put(m.things, curgAt+uint64(m.o.Layout.G.SchedBP), m.frames(pcs[1:]))
				create(m.thing(curgAt), relative(pcs, min(wanted, ring.MaxStackSlots, (depth+ring.AddressesPerSlot-1)/ring.AddressesPerSlot)))
			}
		}
		put(m.data, ring.OffStackSlots, 0)
		create(m.thing(curgAt), []uint32{})
		put(m.data, ring.OffStackSlots, 3)
		put(m.things, mAt+uint64(m.o.Layout.M.Curg), 0)
		create(0, []uint32{})
		m.field(m.o.Layout.G.M, 0)
		create(0, []uint32{})
	}
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
			slots := min(wanted, ring.MaxStackSlots, (depth+ring.AddressesPerSlot-1)/ring.AddressesPerSlot)
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

func TestASystemCallBeforeGo123IsWalkedFromTheThreadsFramePointer(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.20.14"), 5)
	p, code := callPatch()
	m.load(p, code, true)
	put(m.data, ring.OffTextBase, base)
	put(m.data, ring.OffStackSlots, 3)
	m.field(m.o.Layout.G.SchedPC, base+0x7777)
	m.field(m.o.Layout.G.SchedBP, 0)
	pcs := addresses(8)
	r := registers{rax: m.thing(gAt), rbx: running, rcx: syscall, rbp: m.frames(pcs), r14: m.thing(gAt)}
	after := m.run(r)
	require.Equal(t, r[rbp], after[rbp])
	require.Equal(t, relative(pcs, 2), m.stackIn(cpu, 1, 2))
	r[rcx] = waiting
	m.run(r)
	require.Equal(t, relative([]uint64{base + 0x7777}, 1), m.stackIn(cpu, 4, 1))
	require.EqualValues(t, 5, m.head(cpu))
}

func TestLabelsComeBeforeTheStack(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	p, code := callPatch()
	m.load(p, code, true)
	put(m.data, ring.OffTextBase, base)
	put(m.data, ring.OffWantLabels, 1)
	m.field(m.o.Layout.G.SchedPC, base+1)
	from := uint64(0)
	change := func(old, new, labels, stack uint64, extras, kinds uint64) {
		m.field(m.o.Layout.G.Labels, labels)
		put(m.data, ring.OffStackSlots, stack)
		m.change(old, new)
		require.Equal(t, m.word1(old, new, extras, kinds), m.slot(cpu, from)[1])
		next := from + 1
		if kinds == ring.KindLabels {
			require.Equal(t, [4]uint64{labels, 0, 0, ring.Committed | ring.Extra | next>>4}, m.slot(cpu, next))
			next++
		}
		require.Equal(t, relative([]uint64{base + 1}, int(from+1+extras-next)), append([]uint32{}, m.stackIn(cpu, next, from+1+extras-next)...))
		from += 1 + extras
		require.Equal(t, from, m.head(cpu))
	}
	for range 20 {
		change(running, waiting, 0x1234, 2, 2, ring.KindLabels)
		change(running, waiting, 0, 2, 1, 0)
		change(running, waiting, 0x1234, 0, 1, ring.KindLabels)
		change(running, runnable, 0x1234, 2, 1, ring.KindLabels)
		change(running, dead, 0x1234, 2, 1, ring.KindLabels)
		change(running, waiting, 0, 0, 0, 0)
		change(runnable, running, 0x1234, 2, 0, 0)
		change(syscall, running, 0x1234, 2, 0, 0)
		change(dead, dead, 0x1234, 2, 0, 0)
		change(running, syscall, 0x1234, 11, 2, ring.KindLabels)
	}
}

// Whatever lies on a stack, and whatever a g says where it is: nothing is read besides, and the walk ends. Around the stack nothing is mapped.
func TestNoStackCanLeadAway(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 5)
	p, code := callPatch()
	m.load(p, code, true)
	put(m.data, ring.OffTextBase, base)
	put(m.data, ring.OffStackSlots, 3)
	require.NoError(t, unix.Mprotect(m.things[stackAt-0x1000:stackAt], unix.PROT_NONE))
	require.NoError(t, unix.Mprotect(m.things[stackAt+stackSize:], unix.PROT_NONE))
	lo, hi := m.thing(stackAt), m.thing(stackAt+stackSize)
	end := hi - 16
	put(m.things, stackAt+stackSize-8, base+0x99) // the last return address that there can be
	for name, c := range map[string]struct {
		lo, hi, bp, caller uint64
		want               []uint64
	}{
		"last frame":            {lo, hi, end, 0, []uint64{base + 1, base + 0x99}},
		"one behind it":         {lo, hi, end + 1, 0, []uint64{base + 1}},
		"below":                 {lo, hi, lo - 8, 0, []uint64{base + 1}},
		"leads out":             {lo, hi, lo, end + 8, []uint64{base + 1, base + 0x55}},
		"leads to itself":       {lo, hi, lo, lo, []uint64{base + 1, base + 0x55}},
		"leads down":            {lo, hi, lo, lo - 8, []uint64{base + 1, base + 0x55}},
		"leads far away":        {lo, hi, lo, 1 << 63, []uint64{base + 1, base + 0x55}},
		"leads to the last":     {lo, hi, lo, end, []uint64{base + 1, base + 0x55, base + 0x99}},
		"no power of two":       {lo - 16, hi, lo - 16, 0, []uint64{base + 1}},
		"no stack":              {0, 0, 8, 0, []uint64{base + 1}},
		"none that has a frame": {0, 8, 1, 0, []uint64{base + 1}},
		"the other way round":   {hi, lo, lo, 0, []uint64{base + 1}},
		"no frame pointer":      {lo, hi, 0, 0, []uint64{base + 1}},
		"far away":              {lo, hi, math.MaxUint64, 0, []uint64{base + 1}},
	} {
		for _, g := range []uint64{gAt, curgAt} {
			put(m.things, g, c.lo)
			put(m.things, g+8, c.hi)
			put(m.things, g+uint64(m.o.Layout.G.SchedPC), base+1)
			put(m.things, g+uint64(m.o.Layout.G.SchedBP), c.bp)
		}
		put(m.things, stackAt, c.caller)
		put(m.things, stackAt+8, base+0x55)
		at := m.head(cpu)
		m.change(running, waiting)
		require.Equal(t, relative(c.want, 1), m.stackIn(cpu, at+1, 1), name)
		require.Equal(t, at+2, m.head(cpu), name)
		at = m.head(cpu)
		m.change(dead, runnable)
		require.Equal(t, relative(c.want, 1), m.stackIn(cpu, at+2, 1), "a creator's, %s", name)
		require.Equal(t, at+3, m.head(cpu), name)
	}
}

func TestAddressesOutsideOfTheText(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	p, code := callPatch()
	m.load(p, code, true)
	put(m.data, ring.OffTextBase, base)
	put(m.data, ring.OffStackSlots, 2)
	m.field(m.o.Layout.G.SchedPC, base-1)
	m.field(m.o.Layout.G.SchedBP, m.frames([]uint64{base + 0xfffffffe, base + 0xffffffff, base + 1<<32, base + 1, 0, base + 2}))
	m.change(running, waiting)
	want := []uint32{ring.NoAddress, 0xfffffffe, ring.NoAddress, ring.NoAddress, 1, 0, 0, 0, 0, 0, 0, 0} // 0 is the end, whatever is behind it
	require.Equal(t, want, m.stackIn(cpu, 1, 2))
}

func TestChangesThatNobodyReadsAreCounted(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	p, code := callPatch()
	m.load(p, code, true)
	dropped := uint64(0)
	change := func(old, new, limit, deadline uint64, taken uint64) {
		put(m.header(cpu, ring.OffLimit), 0, limit)
		put(m.data, ring.OffDeadline, deadline)
		head := m.head(cpu)
		m.change(old, new)
		if taken == 0 {
			dropped++
		}
		require.Equal(t, head+taken, m.head(cpu))
		require.Equal(t, dropped, m.dropped(cpu))
	}
	put(m.data, ring.OffStackSlots, 3)
	change(runnable, running, 1, math.MaxUint64, 1)
	change(runnable, running, 1, math.MaxUint64, 0)
	change(dead, runnable, 3, math.MaxUint64, 0)
	change(dead, runnable, 4, math.MaxUint64, 3)
	change(running, waiting, 5, math.MaxUint64, 0)
	change(running, waiting, 6, math.MaxUint64, 2)
	change(running, waiting, 100, 1, 0)
	change(running, waiting, 100, 0, 0)
}

// The processor may have a CPU that there is no ring of.
func TestChangesOnAnUnknownCPUAreCounted(t *testing.T) {
	cpu := onOneCPU(t)
	if cpu == 0 && os.Getenv("CI") == "true" {
		t.Fatal("CI must run the tests on more than one CPU")
	}
	if cpu == 0 {
		t.Skip("NOT TESTED: there is one CPU only")
	}
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	m.o.Geometry.CPUs = uint32(cpu)
	p, code := callPatch()
	m.load(p, code, true)
	m.change(running, waiting)
	require.Equal(t, uint64(1), m.dropped(0))
	for i := range cpu + 1 {
		require.Zero(t, m.head(i))
	}
}
