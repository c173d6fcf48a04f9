package code

import "github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"

// What the registers hold besides while extra slots are written. R10 is the new status of a Call.
const (
	extras = r11 // how many there will be, until they are reserved
	labels = r12 // g.labels or 0, until they are written
	origin = r12 // of a creation, the goroutine that creates, or 0
	stack  = r13 // how many slots of the stack remain

	extraIndex = r11 // of the extra slot
	word       = r9  // where its next word is

	pc    = rdx // the next address of the stack, 0 if there is none
	frame = rsi // the frame pointer whose frame has the one behind it, 0 if there is none
	whose = rsi // the goroutine that has the stack, until its frame pointer is known
	last  = r12 // the last address at which a frame can be

	// While it is counted how many slots a stack takes, R8, R9 and R11 have these, and what they had before again afterwards.
	free    = r8d // for how many more addresses as many slots as are wanted have room
	highest = r9  // the last address at which a frame can be
	caller  = r11 // the frame pointer of the next frame
)

// oneExtra is added to change for each extra slot, aKind begins the kinds.
const (
	oneExtra = 1 << (ring.ShiftExtras - ring.ShiftOld)
	aKind    = 1 << (ring.ShiftKinds - ring.ShiftOld)
	// extraBits are the bits of how many extra slots there are.
	extraBits = aKind/oneExtra - 1
)

// withExtras records a change that may have extra slots. It goes on from where record branched off.
func (t *writer) withExtras() {
	t.set(eax, both(t.dead))
	t.bt(eax, change)
	t.jcc(noCarry, "wasRunning")
	t.creation()
	t.label("wasRunning")
	t.mov(eax, change)
	t.and(eax, imm(statusBits))
	t.cmp(eax, imm(t.waiting))
	t.jcc(notEqual, "blocks")
	t.woken()
	t.label("blocks")
	t.wasRunning()
	t.label("single")
	t.reserve(0)
	t.head()
	t.label("commit")
	t.commit()
	t.exit()
}

// creation records that a goroutine begins, unless one is dead still, with the stack of the one that creates it if stacks are wanted. EAX is the set
// of dead statuses.
func (t *writer) creation() {
	t.mov(r11d, change)
	t.shr(r11d, 4)
	t.bt(eax, r11d)
	t.jcc(carry, "single")
	t.or(change, imm(oneExtra+ring.KindCreation*aKind))
	t.findOrigin()
	t.lea(extras, mem{stack, 1})
	t.reserve(extras)
	t.head()
	t.firstExtra()
	for i, offset := range []uint16{t.Layout.G.StartPC, t.Layout.G.GoPC, t.Layout.G.Labels} {
		t.mov(rdx, mem{g, int32(offset)})
		t.store(mem{word, int32(8 * i)}, rdx)
	}
	t.mov(rdx, origin)
	t.shl(rdx, ring.ShiftM)
	t.commitExtra(24)
	t.test(stack, stack)
	t.jcc(zero, "commit")
	t.nextExtra(ring.SlotSize)
	t.mov(whose, origin)
	t.jmp("walk")
}

// findOrigin finds m.curg, and how many slots its stack takes.
func (t *writer) findOrigin() {
	t.set(r13d, 0)
	t.mov(origin, mem{current, int32(t.Layout.G.M)})
	t.test(origin, origin)
	t.jcc(zero, "origin")
	t.mov(origin, mem{origin, int32(t.Layout.M.Curg)})
	t.test(origin, origin)
	t.onlyIf(notZero, func() { t.mov(stack, mem{data, ring.OffStackSlots}) })
	t.label("origin")
	t.countStack(origin, "creator")
}

// woken records by which channel a wait for channels ends: whoever ends it leaves what waited in g.param (runtime/chan.go).
func (t *writer) woken() {
	t.or(change, imm(oneExtra+ring.KindChannel*aKind))
	t.set(extras, 1)
	t.reserve(extras)
	t.head()
	t.firstExtra()
	t.mov(rdx, mem{g, int32(t.Layout.G.Param)})
	for i, next := range []uint16{t.Layout.Sudog.C, t.Layout.Hchan.DataQSiz} {
		t.test(rdx, rdx)
		t.onlyIf(notZero, func() { t.mov(rdx, mem{rdx, int32(next)}) })
		t.store(mem{word, int32(8 * i)}, rdx)
	}
	t.set(edx, 0)
	t.store(mem{word, 16}, rdx)
	t.commitExtra(24)
	t.jmp("commit")
}

// wasRunning records that a goroutine stops running, with what the reader wants of it.
func (t *writer) wasRunning() {
	t.findLabels()
	t.findStack()
	t.mov(r11d, change)
	t.shr(r11d, ring.ShiftExtras-ring.ShiftOld)
	t.and(r11d, imm(extraBits))
	t.jcc(zero, "single")
	t.reserve(extras)
	t.head()
	t.firstExtra()
	t.test(labels, labels)
	t.jcc(zero, "noLabels")
	t.writeLabels()
	t.label("noLabels")
	t.test(stack, stack)
	t.jcc(zero, "commit")
	t.mov(whose, g)
	t.walk()
}

func (t *writer) findLabels() {
	t.mov(labels, mem{data, ring.OffWantLabels})
	t.test(labels, labels)
	t.onlyIf(notZero, func() { t.mov(labels, mem{g, int32(t.Layout.G.Labels)}) })
	t.test(labels, labels)
	t.onlyIf(notZero, func() { t.or(change, imm(oneExtra+ring.KindLabels*aKind)) })
}

// findStack finds out how many slots the stack takes. The words of the header are read once, as they can change at any time.
func (t *writer) findStack() {
	t.mov(eax, change)
	t.shr(eax, 4) // the new status, and bits above the fifth
	t.set(r13d, both(t.blocked))
	t.bt(r13d, eax)
	t.set(r13d, 0)
	t.onlyIf(carry, func() { t.mov(stack, mem{data, ring.OffStackSlots}) })
	t.countStack(g, "blocked")
}

// countStack has no more slots in stack than there are wanted, or than the stack of a goroutine takes, and adds them to the extra ones.
func (t *writer) countStack(of reg, by string) {
	t.cmp(stack, imm(ring.MaxStackSlots))
	t.onlyIf(above, func() { t.set(r13d, ring.MaxStackSlots) })
	t.test(stack, stack)
	t.jcc(zero, by+" counted")
	t.countSlots(of, by)
	t.label(by + " counted")
	t.mov(eax, r13d)
	t.shl(eax, ring.ShiftExtras-ring.ShiftOld)
	t.add(change, eax)
}

// countSlots leaves in stack how many slots the addresses take. It goes from frame to frame as the walk does, which is short: most stacks have a
// third of the frames that are wanted at the most, and what is not written needs no room in the ring, and nobody has to read it. If another thread
// moves the stack meanwhile, the walk finds others: they have the slots that were counted.
func (t *writer) countSlots(of reg, by string) {
	t.imul(free, r13d, ring.AddressesPerSlot)
	t.sub(free, imm(1)) // the innermost, which is in no frame
	t.findBounds(of, highest, caller, rax, by)
	if t.Layout.Traits().LiveSyscalls {
		t.mov(eax, change)
		t.shr(eax, 4)
		t.and(eax, imm(statusBits))
		t.cmp(eax, imm(t.syscall))
		t.mov(rax, rbp)
		t.jcc(equal, by+" live")
	}
	t.mov(rax, mem{of, int32(t.Layout.G.SchedBP)})
	t.label(by + " live")
	t.within(rax, caller, highest)
	t.test(rax, rax)
	t.jcc(zero, by+" outermost")
	t.label(by + " count")
	t.sub(free, imm(1))
	t.jcc(zero, by+" outermost")
	t.mov(caller, mem{rax, 0})
	t.cmp(caller, rax)
	t.jcc(belowEqual, by+" outermost")
	t.mov(rax, caller)
	t.cmp(rax, highest)
	t.jcc(belowEqual, by+" count")
	t.label(by + " outermost")
	t.imul(free, free, sixth)
	t.shr(free, sixthBits)
	t.sub(r13d, free)
	t.set(data, t.Data)
	t.mov(header, cpu)
	t.shl(header, headerBits)
	t.add(header, data)
}

// As many addresses as there can be, times sixth and without the lower sixthBits bits, are how many whole slots of AddressesPerSlot they are.
const sixth, sixthBits = 43, 8

func (t *writer) firstExtra() {
	t.mov(extraIndex, index)
	t.mov(word, slot)
	t.nextExtra(ring.SlotSize)
}

// nextExtra goes on to the next slot, some bytes away, or to the ring's first from its last.
func (t *writer) nextExtra(away int32) {
	t.add(word, imm(away))
	t.add(extraIndex, imm(1))
	t.test(r11d, imm(t.slotMask()))
	t.onlyIf(zero, func() { t.sub(word, imm(ring.SlotSize<<t.Geometry.Bits)) })
}

// commitExtra stores the last word of an extra slot, some bytes away; RDX has what is above the commit bits. It comes after the slot's other
// words, and before the head's last.
func (t *writer) commitExtra(away int32) {
	t.mov(rcx, extraIndex)
	t.shr(rcx, uint8(t.Geometry.Bits))
	t.and(ecx, imm(ring.LapMask))
	t.or(ecx, imm(ring.Committed|ring.Extra))
	t.or(rdx, rcx)
	t.store(mem{word, away}, rdx)
}

func (t *writer) writeLabels() {
	t.store(mem{word, 0}, labels)
	t.set(edx, 0)
	t.store(mem{word, 8}, rdx)
	t.store(mem{word, 16}, rdx)
	t.commitExtra(24)
	t.nextExtra(ring.SlotSize)
}

// walk writes the slots of a stack, that of whose: the addresses at which its functions go on, innermost first. Go keeps frame pointers: one points at its
// caller's, and behind that is the return address (cmd/compile/abi-internal.md).
func (t *writer) walk() {
	t.label("walk")
	t.set(rcx, t.Data)
	t.mov(rcx, mem{rcx, ring.OffTextBase})
	t.store(textBase, rcx)
	t.beginWalk()
	t.test(pc, pc)
	t.jcc(notZero, "address")
	t.label("frame")
	t.nextFrame()
	t.label("address")
	t.tellAddress()
	t.label("store")
	t.store(mem{word, 0}, ecx)
	t.add(word, imm(4))
	t.mov(ecx, r9d)
	t.and(ecx, imm(ring.SlotSize-1))
	t.cmp(ecx, imm(4*ring.AddressesPerSlot))
	t.jcc(notEqual, "frame")
	t.set(edx, 0)
	t.commitExtra(0)
	t.sub(stack, imm(1))
	t.jcc(zero, "commit")
	t.nextExtra(8)
	t.jmp("frame")
	t.atTheEnd()
}

// beginWalk finds the innermost address and frame. Where a goroutine goes on is in g.sched. Before Go 1.23 a goroutine that enters a system
// call has no frame pointer there, but the thread has.
func (t *writer) beginWalk() {
	t.findBounds(whose, last, rcx, rdx, "walking")
	if t.Layout.Traits().LiveSyscalls {
		t.mov(pc, mem{slot, 8})
		t.shr(pc, ring.ShiftNew)
		t.and(edx, imm(statusBits))
		t.cmp(edx, imm(t.syscall))
		t.jcc(notEqual, "switched")
		t.set(edx, 0)
		t.mov(frame, rbp)
		t.jmp("place")
		t.label("switched")
	}
	t.mov(pc, mem{whose, int32(t.Layout.G.SchedPC)})
	t.mov(frame, mem{whose, int32(t.Layout.G.SchedBP)})
	t.label("place")
	t.within(frame, rcx, last)
}

// within makes a frame pointer 0 that is not within bounds.
func (t *writer) within(frame, lowest, highest reg) {
	t.cmp(frame, lowest)
	t.onlyIf(below, func() { t.set(frame|half, 0) })
	t.cmp(frame, highest)
	t.onlyIf(above, func() { t.set(frame|half, 0) })
}

// findBounds puts stack.lo of a goroutine, its first word, into lowest, and the last address of a frame below stack.hi into highest. Behind a Swap,
// another thread may be moving the stack. Then the old one is not unmapped, but lo may be of one and hi of the other: what is between them is
// not the power of two that Go's stacks are (stackalloc in runtime/stack.go), but for an accident. No frame is looked at then.
func (t *writer) findBounds(of, highest, lowest, size reg, by string) {
	t.mov(highest, mem{of, 8})
	t.mov(size, highest)
	t.sub(size, mem{of, 0})
	t.lea(lowest, mem{size, -1})
	t.test(lowest, size)
	t.jcc(notZero, by+" without")
	t.mov(lowest, highest)
	t.sub(lowest, size)
	t.sub(highest, imm(16))
	t.jcc(noCarry, by+" within")
	t.label(by + " without")
	t.set(highest|half, 0)
	t.label(by + " within")
}

// nextFrame reads the next return address, and then goes to the frame of the caller, which must be above: stacks grow down.
func (t *writer) nextFrame() {
	t.test(frame, frame)
	t.jcc(zero, "rest")
	t.mov(pc, mem{frame, 8})
	t.mov(rcx, mem{frame, 0})
	t.cmp(rcx, frame)
	t.jcc(belowEqual, "outermost frame")
	t.cmp(rcx, last)
	t.jcc(above, "outermost frame")
	t.mov(frame, rcx)
	t.label("returns to")
	t.test(pc, pc)
	t.jcc(zero, "end")
}

// atTheEnd is what the walk does seldom, out of the way.
func (t *writer) atTheEnd() {
	t.label("outermost frame")
	t.set(esi, 0) // frame
	t.jmp("returns to")
	t.label("end")
	t.set(esi, 0)
	t.label("rest")
	t.set(ecx, 0)
	t.jmp("store")
	t.label("far")
	t.set(ecx, ring.NoAddress)
	t.jmp("store")
}

// textBase is where the text base is meanwhile: in the head slot's third word, which is filled later. No register is left.
var textBase = mem{slot, 16}

// tellAddress puts an address relative to the text base into ECX.
func (t *writer) tellAddress() {
	t.sub(pc, textBase)
	t.mov(ecx, edx)
	t.cmp(rcx, pc)
	t.jcc(notEqual, "far")
}
