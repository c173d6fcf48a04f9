package code

import "github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"

// special records what may have extra slots. Until the head is committed, its third word, which is filled late, has the index behind the extra
// slots.
func (w *armWriter) special() {
	w.label("special")
	w.countExtras()
	w.ubfx(w.t, w.change, ring.ShiftExtras-ring.ShiftOld, 4)
	w.cbz(w.t, "usual")
	w.ldr(w.index, w.header, ring.OffHead)
	w.add(w.index, w.index, w.t, 0)
	w.ldr(w.u, w.header, ring.OffLimit)
	w.cmp(w.index, w.u)
	w.bcc(armAboveEqual, "dropped")
	w.addImm(w.t, w.t, 1)
	w.ldadd(w.t, w.index, w.header)
	w.head()
	w.ubfx(w.t, w.change, ring.ShiftExtras-ring.ShiftOld, 4)
	w.add(w.t, w.t, w.index, 0)
	w.addImm(w.t, w.t, 1)
	w.str(w.t, w.slot, 16)
	w.mov(w.extraIndex, w.index)
	w.mov(w.word, w.slot)
	w.nextExtra("first", ring.SlotSize)
	w.ldr(w.u, w.slot, 8)
	w.tbnz(w.u, ring.ShiftKinds, "creation")
	w.tbnz(w.u, ring.ShiftKinds+2, "channel")
	w.tbz(w.u, ring.ShiftKinds+1, "stack")
	w.writeLabels()
	w.label("stack")
	w.walk()
	w.label("creation")
	w.creation()
	w.label("channel")
	w.woken()
}

// countExtras adds to change how many extra slots there are, and of which kinds.
func (w *armWriter) countExtras() {
	w.isOf(1<<w.waiting, 0)
	w.tbnz(w.t, 0, "wasWaiting")
	w.isOf(w.dead, 0)
	w.tbz(w.t, 0, "wasRunning")
	w.isOf(w.dead, 4)
	w.tbnz(w.t, 0, "counted")
	w.addExtra(ring.KindCreation)
	w.findOrigin("originKnown")
	w.cbz(w.u, "counted")
	w.b("countStack")

	w.label("wasRunning")
	w.ldr(w.t, w.data, ring.OffWantLabels)
	w.cbz(w.t, "noLabels")
	w.findG(w.t)
	w.ldr(w.t, w.t, uint64(w.Layout.G.Labels))
	w.cbz(w.t, "noLabels")
	w.addExtra(ring.KindLabels)
	w.label("noLabels")
	w.isOf(w.blocked, 4)
	w.tbz(w.t, 0, "counted")
	w.label("countStack")
	w.ldr(w.t, w.data, ring.OffStackSlots) // once, as it can change at any time
	w.set(w.u, ring.MaxStackSlots)
	w.cmp(w.t, w.u)
	w.csel(w.t, w.t, w.u, armBelowEqual)
	w.add(w.change, w.change, w.t, ring.ShiftExtras-ring.ShiftOld)
	w.b("counted")

	w.label("wasWaiting")
	w.countChannel()
	w.label("counted")
}

// countChannel does that for who has waited: if it was for channels, by which.
func (w *armWriter) countChannel() {
	w.ldr(w.t, w.data, ring.OffStackSlots)
	w.cbz(w.t, "counted") // nobody wants more than the change itself
	w.findG(w.t)
	w.ldrb(w.t, w.t, uint64(w.Layout.G.WaitReason))
	w.cmpImm(w.t, 64) // more than any reason
	w.bcc(armAboveEqual, "counted")
	w.set(w.u, w.ChannelReasons)
	w.lsr(w.u, w.u, w.t)
	w.tbz(w.u, 0, "counted")
	w.addExtra(ring.KindChannel)
}

func (w *armWriter) addExtra(kind uint64) {
	w.addImm(w.change, w.change, oneExtra)
	w.addImm(w.change, w.change, kind*aKind)
}

// nextExtra goes on to the next slot, some bytes away, or to the ring's first from its last.
func (w *armWriter) nextExtra(name string, away uint64) {
	w.addImm(w.word, w.word, away)
	w.addImm(w.extraIndex, w.extraIndex, 1)
	w.ubfx(w.t, w.extraIndex, 0, w.Geometry.Bits)
	w.cbnz(w.t, name)
	w.set(w.t, ring.SlotSize<<w.Geometry.Bits)
	w.sub(w.word, w.word, w.t)
	w.label(name)
}

// commitExtra stores an extra slot's last word, some bytes away.
func (w *armWriter) commitExtra(m xreg, away uint64) {
	w.lastWord(w.extraIndex, m, ring.Committed+ring.Extra)
	w.addImm(w.u, w.word, away)
	w.stlr(w.t, w.u)
}

const lapBits = 14 // ring.LapMask

// findOrigin puts m.curg, the goroutine that creates another, into u, 0 if there is none.
func (w *armWriter) findOrigin(known string) {
	w.ldr(w.u, x28, uint64(w.Layout.G.M))
	w.cbz(w.u, known)
	w.ldr(w.u, w.u, uint64(w.Layout.M.Curg))
	w.label(known)
}

// creation writes its slot, and goes on to the stack of the goroutine that creates.
func (w *armWriter) creation() {
	for i, offset := range []uint16{w.Layout.G.StartPC, w.Layout.G.GoPC, w.Layout.G.Labels} {
		w.ldr(w.t, w.gp, uint64(offset))
		w.str(w.t, w.word, uint64(8*i))
	}
	w.findOrigin("toCommit")
	w.commitExtra(w.u, 24)
	w.findOrigin("toWalk")
	w.cbz(w.u, "commit")
	w.mov(w.gp, w.u)
	w.nextExtra("created", ring.SlotSize)
	w.b("walk")
}

// woken records by which channel a wait for channels ends, as on amd64.
func (w *armWriter) woken() {
	w.ldr(w.t, w.gp, uint64(w.Layout.G.Param))
	w.cbz(w.t, "noWaiter")
	w.ldr(w.t, w.t, uint64(w.Layout.Sudog.C))
	w.label("noWaiter")
	w.str(w.t, w.word, 0)
	w.cbz(w.t, "noChannel")
	w.ldr(w.t, w.t, uint64(w.Layout.Hchan.DataQSiz))
	w.label("noChannel")
	w.str(w.t, w.word, 8)
	w.str(xzr, w.word, 16)
	w.commitExtra(xzr, 24)
	w.b("commit")
}

// writeLabels reads the labels again, which only the goroutine itself changes.
func (w *armWriter) writeLabels() {
	w.ldr(w.t, w.gp, uint64(w.Layout.G.Labels))
	w.str(w.t, w.word, 0)
	w.str(xzr, w.word, 8)
	w.str(xzr, w.word, 16)
	w.commitExtra(xzr, 24)
	w.nextExtra("labelled", ring.SlotSize)
}

// walk writes the slots of the stack of the goroutine in gp, if there are any, and goes on to commit the head.
func (w *armWriter) walk() {
	w.label("walk")
	w.ifEnded("walked")
	w.beginWalk()
	w.cbnz(w.pc, "address")
	w.label("frame")
	w.nextFrame()
	w.label("address")
	w.writeAddress()
	w.ubfx(w.t, w.word, 0, slotBits)
	w.cmpImm(w.t, 4*ring.AddressesPerSlot)
	w.bcc(armNotEqual, "frame")
	w.commitExtra(xzr, 0)
	w.nextExtra("walking", 8)
	w.ifEnded("walked")
	w.b("frame")
	w.label("walked")
	w.ldr(w.index, w.slot, 16)
	w.ldr(w.t, w.slot, 8)
	w.ubfx(w.t, w.t, ring.ShiftExtras, 4)
	w.sub(w.index, w.index, w.t)
	w.subImm(w.index, w.index, 1)
	w.findG(w.gp)
	w.b("commit")
}

// ifEnded jumps if there is no extra slot any more.
func (w *armWriter) ifEnded(label string) {
	w.ldr(w.t, w.slot, 16)
	w.sub(w.t, w.t, w.extraIndex)
	w.cbz(w.t, label)
}

// beginWalk finds the innermost address and frame, the bounds of frames, and the text base, as on amd64.
func (w *armWriter) beginWalk() {
	w.findBounds()
	if w.Layout.Traits().LiveSyscalls {
		w.ldr(w.t, w.slot, 8)
		w.ubfx(w.t, w.t, ring.ShiftNew, 4)
		w.cmpImm(w.t, uint64(w.syscall))
		w.mov(w.t, x29)
		w.bcc(armNotEqual, "switched")
		w.set(w.u, 0) // pc
		w.b("place")
	}
	w.label("switched")
	w.ldr(w.t, w.gp, uint64(w.Layout.G.SchedBP))
	w.ldr(w.u, w.gp, uint64(w.Layout.G.SchedPC))
	w.label("place")
	w.cmp(w.t, w.frame) // g.stack.lo
	w.csel(w.t, xzr, w.t, armBelow)
	w.cmp(w.t, w.last)
	w.csel(w.frame, xzr, w.t, armAbove)
	w.set(w.textBase, w.Data)
	w.ldr(w.textBase, w.textBase, ring.OffTextBase)
}

// findBounds puts g.stack.lo into frame and the last address of a frame into last, 0 if the bounds are not those of one stack.
func (w *armWriter) findBounds() {
	w.ldr(w.last, w.gp, 8)
	w.ldr(w.frame, w.gp, 0)
	w.sub(w.t, w.last, w.frame)
	w.subImm(w.u, w.t, 1)
	w.and(w.t, w.t, w.u)
	w.cbnz(w.t, "noStack")
	w.cmpImm(w.last, 16)
	w.subImm(w.last, w.last, 16)
	w.bcc(armAboveEqual, "bounds")
	w.label("noStack")
	w.set(w.last, 0)
	w.label("bounds")
}

// nextFrame reads the next return address, and goes to the frame of the caller, which must be above.
func (w *armWriter) nextFrame() {
	w.set(w.pc, 0)
	w.cbz(w.frame, "address")
	w.ldr(w.pc, w.frame, 8)
	w.ldr(w.t, w.frame, 0)
	w.cmp(w.t, w.frame)
	w.csel(w.t, xzr, w.t, armBelowEqual)
	w.cmp(w.t, w.last)
	w.csel(w.t, xzr, w.t, armAbove)
	w.cmpImm(w.pc, 0)
	w.csel(w.frame, w.t, xzr, armNotEqual)
}

// writeAddress stores an address relative to the text base.
func (w *armWriter) writeAddress() {
	w.cbz(w.pc, "store")
	w.sub(w.pc, w.pc, w.textBase)
	w.ubfx(w.t, w.pc, 32, 32)
	w.cbz(w.t, "store")
	w.set(w.pc, ring.NoAddress)
	w.label("store")
	w.str32(w.pc, w.word, 0)
	w.addImm(w.word, w.word, 4)
}
