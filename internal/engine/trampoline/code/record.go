package code

import (
	"math/bits"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

const statusBits = 0xf

// both has a set of statuses twice, for bits whose numbers have a fifth bit that does not matter.
func both(set uint16) uint64 { return uint64(set)<<16 | uint64(set) }

// record appends a record. EAX is the old status, change the new one. It ends at the label done, and takes the labels dropped, extras and noRing
// that outOfTheWay and withExtras write.
func (t *writer) record() {
	t.pack()
	t.clock()
	t.findHeader()
	t.cmp(tsc, mem{data, ring.OffDeadline})
	t.jcc(above, "dropped") // nobody reads
	t.set(eax, both(t.dead|1<<t.running|1<<t.waiting))
	t.bt(eax, change)
	t.jcc(carry, "special")
	t.label("usual")
	t.reserve(0)
	t.head()
	t.commit()
	t.label("done")
}

// pack puts both statuses into change, without the scan bit.
func (t *writer) pack() {
	t.and(change, imm(statusBits))
	t.shl(change, 4)
	t.and(eax, imm(statusBits))
	t.or(change, eax)
}

// clock reads the time and the CPU. If the kernel moves the thread from now on, its record is in the ring of the CPU that it came from, which is
// why slots are reserved by a locked instruction.
func (t *writer) clock() {
	if t.RDPID {
		t.rdpid(cpu)
		t.rdtsc()
	} else {
		t.rdtscp()
	}
	t.and(ecx, imm(auxCPU))
	t.shl(rdx, 32)
	t.or(tsc, rax)
}

func (t *writer) findHeader() {
	t.set(data, t.Data)
	t.cmp(ecx, imm(t.Geometry.CPUs))
	t.jcc(aboveEqual, "noRing")
	t.mov(header, cpu)
	t.shl(header, headerBits)
	t.add(header, data)
}

const (
	headerBits = 8 // ring.HeaderSize
	slotBits   = 5 // ring.SlotSize
)

func ofHeader(word int32) mem { return mem{header, ring.OffHeaders + word} }

// reserve takes a slot, and as many extra slots behind it as the register tells, if it is not 0. To look for room and to take it are two steps,
// between which other threads may take it too: the reader sees slots that were overwritten.
func (t *writer) reserve(extras reg) {
	t.mov(index, ofHeader(ring.OffHead))
	if extras != 0 {
		t.add(index, extras)
	}
	t.cmp(index, ofHeader(ring.OffLimit))
	t.jcc(aboveEqual, "dropped")
	if extras != 0 {
		t.lea(index, mem{extras, 1})
	} else {
		t.set(eax, 1)
	}
	t.lockXadd(ofHeader(ring.OffHead), index)
}

// head fills the first two words of the head slot.
func (t *writer) head() {
	t.shl(cpu, uint8(t.Geometry.Bits+slotBits))
	t.add(slot, cpu)
	t.mov(ecx, eax)
	t.and(ecx, imm(t.slotMask()))
	t.shl(ecx, slotBits)
	t.add(slot, rcx)
	t.add(slot, imm(t.Geometry.Slots()))
	t.store(mem{slot, 0}, tsc)
	t.shl(rsi, ring.ShiftOld)
	t.or(rsi, g)
	t.store(mem{slot, 8}, rsi)
}

func (t *writer) slotMask() uint32 { return 1<<t.Geometry.Bits - 1 }

// commit fills the other two. All stores before the last are seen before it, as amd64 lets stores become visible in their order: who sees it sees
// the whole slot, and all extra slots.
func (t *writer) commit() {
	t.loadByte(edx, mem{g, int32(t.Layout.G.WaitReason)})
	t.shl(rdx, ring.ShiftReason)
	t.or(rdx, mem{g, int32(t.Layout.G.Goid)})
	t.store(mem{slot, 16}, rdx)
	t.mov(rdx, mem{current, int32(t.Layout.G.M)})
	t.lastWord()
}

// lastWord stores the last word of the head slot, with RDX above the commit bits.
func (t *writer) lastWord() {
	t.shl(rdx, ring.ShiftM)
	t.shr(index, uint8(t.Geometry.Bits))
	t.and(eax, imm(ring.LapMask))
	t.or(eax, imm(ring.Committed))
	t.or(rdx, rax)
	t.store(mem{slot, 24}, rdx)
}

// outOfTheWay is what record seldom needs, and falls through to what is needed for extra slots.
func (t *writer) outOfTheWay() {
	t.label("noRing") // a CPU that was not thought of: count it with those of the first
	t.mov(header, data)
	t.drop()
	t.label("special")
	t.mov(eax, change)
	t.and(eax, imm(statusBits))
	t.cmp(eax, imm(t.waiting))
	t.jcc(equal, "wasWaiting")
	t.cmp(eax, imm(t.running))
	t.jcc(notEqual, "extras")
	t.mov(rax, mem{data, ring.OffStackSlots})
	t.or(rax, mem{data, ring.OffWantLabels})
	t.jcc(zero, "usual") // nobody wants more than the change itself
	t.jmp("extras")
	t.label("wasWaiting")
	t.mov(rax, mem{data, ring.OffStackSlots})
	t.test(rax, rax)
	t.jcc(zero, "usual")
	t.loadByte(eax, mem{g, int32(t.Layout.G.WaitReason)})
	for reasons := t.ChannelReasons; reasons != 0; reasons &= reasons - 1 {
		t.cmp(eax, imm(bits.TrailingZeros64(reasons)))
		t.jcc(equal, "extras")
	}
	t.jmp("usual")
	t.label("extras")
}

func (t *writer) drop() {
	t.label("dropped")
	t.lockInc(ofHeader(ring.OffDropped))
	t.exit()
}
