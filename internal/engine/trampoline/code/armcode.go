package code

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// AssembleARM64 is Assemble for arm64, with processors that have the atomic instructions of Armv8.1. No engine uses it yet: it was never
// tried in a living process. What differs:
//   - A jump is one `b`, which reaches 128 MiB.
//   - There is no memory below the stack pointer that signals leave alone, so that nothing can be saved: a trampoline uses only the registers
//     that goexe has found to hold nothing, and there is an error where they are too few.
//   - A program cannot tell its CPU: a ring is that of some threads, by a hash of their m. Geometry.CPUs, which must be a power of two, is how
//     many.
//   - Stores become visible in any order. The last word of a slot is stored with release, after all others.
//   - The clock ticks every 40 ns or so: order comes from statuses, not from time alone.
func AssembleARM64(o Options, at, bias uint64, patches []goexe.Patch) (text []byte, jumps []Jump, err error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	if n := o.Geometry.CPUs; n < 2 || bits.OnesCount32(n) != 1 {
		return nil, nil, fmt.Errorf("%d rings are no power of two", n)
	}
	w := &armWriter{armAssembler: newARMAssembler(at), Options: o, statuses: statusesOf(o.Layout)}
	for _, p := range patches {
		start, address := w.here(), p.Address+bias
		if err := w.trampoline(p, address+uint64(len(p.Code))); err != nil {
			return nil, nil, fmt.Errorf("%s at %#x: %w", p.Function, p.Address, err)
		}
		jump := newARMAssembler(address)
		jump.bAway(start)
		if jump.err != nil {
			return nil, nil, jump.err
		}
		jumps = append(jumps, Jump{Address: address, Code: jump.code, Original: p.Code})
	}
	if w.err != nil {
		return nil, nil, w.err
	}
	if len(w.code) > MaxSize {
		return nil, nil, fmt.Errorf("%d trampolines take %d bytes, more than %d", len(patches), len(w.code), MaxSize)
	}
	return w.code, jumps, nil
}

// armWriter writes trampolines.
type armWriter struct {
	*armAssembler
	Options
	statuses
	armRoles
}

// armRoles are registers by what they hold. Some hold two things, one after the other.
type armRoles struct {
	g        xreg // points above bytes above the g
	above    uint64
	old, new xreg

	data, slot      xreg // slot is the head slot
	tsc, extraIndex xreg // extraIndex is the extra slot's
	header, gp      xreg // of the ring; the g
	change, word    xreg // as on amd64; where the extra slot's next word is
	t, u            xreg // hold nothing for long
	ring, frame     xreg // which ring; the next frame pointer, or 0
	index, last     xreg // the head slot's; the last address of a frame
	pc, textBase    xreg // pc is u, textBase is gp, which is not needed then
}

// armScratch is how many registers a trampoline needs.
const armScratch = 8

// trampoline writes that of one patch, which is carried out first: it only stores an argument, or only makes a number of a swap's success. That
// also leaves nothing in the flags.
func (w *armWriter) trampoline(p goexe.Patch, back uint64) error {
	if len(p.Code) != 4 {
		return errors.New("no instruction of arm64")
	}
	var free []xreg
	for r := range xreg(28) {
		if p.Free>>r&1 == 1 {
			free = append(free, r)
		}
	}
	if len(free) < armScratch {
		return fmt.Errorf("%d registers hold nothing, %d are needed", len(free), armScratch)
	}
	w.armRoles = armRoles{
		g: xreg(p.G), above: uint64(p.Above), old: xreg(p.Old), new: xreg(p.New),
		data: free[0], slot: free[0], tsc: free[1], extraIndex: free[1], header: free[2], gp: free[2], textBase: free[2], change: free[3], word: free[3],
		t: free[4], u: free[5], pc: free[5], ring: free[6], frame: free[6], index: free[7], last: free[7],
	}
	w.code = append(w.code, p.Code...)
	if p.Kind == goexe.Call {
		w.g, w.above, w.old, w.new = 0, 0, 1, 2
	} else {
		w.cbz(xreg(p.Result), "done")
	}
	w.record()
	w.label("done")
	w.bAway(back)
	w.special()
	w.drop()
	w.resolve()
	return nil
}

// record appends a record. It ends at the label done.
func (w *armWriter) record() {
	w.ubfx(w.change, w.old, 0, 4)
	w.bfi(w.change, w.new, 4, 4)
	w.isb() // or the counter is read before what precedes it
	w.counter(w.tsc)
	w.set(w.data, w.Data)
	w.findRing()
	w.ldr(w.t, w.data, ring.OffDeadline)
	w.cmp(w.tsc, w.t)
	w.bcc(armAbove, "dropped") // nobody reads
	w.isOf(w.dead|1<<w.running|1<<w.waiting, 0)
	w.tbnz(w.t, 0, "special")
	w.label("usual")
	w.ldr(w.index, w.header, ring.OffHead)
	w.ldr(w.t, w.header, ring.OffLimit)
	w.cmp(w.index, w.t)
	w.bcc(armAboveEqual, "dropped")
	w.set(w.t, 1)
	w.ldadd(w.t, w.index, w.header)
	w.head()
	w.label("commit")
	w.commit()
}

// golden is 2^64 divided by the golden ratio: the upper bits of a product with it are a hash.
const golden = 0x9e3779b97f4a7c15

func (w *armWriter) findRing() {
	w.ldr(w.t, x28, uint64(w.Layout.G.M))
	w.set(w.u, golden)
	w.mul(w.t, w.t, w.u)
	width := uint32(bits.TrailingZeros32(w.Geometry.CPUs))
	w.ubfx(w.ring, w.t, 64-width, width)
	w.add(w.header, w.data, w.ring, headerBits)
	w.addImm(w.header, w.header, ring.OffHeaders)
}

// isOf puts into the lowest bit of t whether a status of the change, from one of its bits on, is of a set.
func (w *armWriter) isOf(set uint16, from uint32) {
	w.set(w.t, uint64(set))
	w.ubfx(w.u, w.change, from, 4)
	w.lsr(w.t, w.t, w.u)
}

// findG puts the g's address into a register.
func (w *armWriter) findG(d xreg) { w.subImm(d, w.g, w.above) }

// head fills the first two words of the head slot.
func (w *armWriter) head() {
	w.add(w.slot, w.data, w.ring, w.Geometry.Bits+slotBits)
	w.ubfx(w.t, w.index, 0, w.Geometry.Bits)
	w.add(w.slot, w.slot, w.t, slotBits)
	w.addImm(w.slot, w.slot, w.Geometry.Slots())
	w.str(w.tsc, w.slot, 0)
	w.findG(w.gp)
	w.orr(w.t, w.gp, w.change, ring.ShiftOld)
	w.str(w.t, w.slot, 8)
}

// commit fills the other two. Who sees the last sees all that was stored before.
func (w *armWriter) commit() {
	w.ldrb(w.t, w.gp, uint64(w.Layout.G.WaitReason))
	w.ldr(w.u, w.gp, uint64(w.Layout.G.Goid))
	w.orr(w.u, w.u, w.t, ring.ShiftReason)
	w.str(w.u, w.slot, 16)
	w.ldr(w.u, x28, uint64(w.Layout.G.M))
	w.lastWord(w.index, w.u, ring.Committed)
	w.addImm(w.u, w.slot, 24)
	w.stlr(w.t, w.u)
}

// lastWord puts a slot's last word into t.
func (w *armWriter) lastWord(index, m xreg, commit uint64) {
	w.ubfx(w.t, index, w.Geometry.Bits, lapBits)
	w.addImm(w.t, w.t, commit)
	w.orr(w.t, w.t, m, ring.ShiftM)
}

func (w *armWriter) drop() {
	w.label("dropped")
	w.addImm(w.t, w.header, ring.OffDropped)
	w.set(w.u, 1)
	w.ldadd(w.u, xzr, w.t)
	w.b("done")
}
