package code

import (
	"encoding/binary"
	"fmt"
)

// xreg is a register of arm64 by its number.
type xreg uint32

const (
	x28 xreg = 28 // the current g, in Go's code
	x29 xreg = 29 // the frame pointer
	xzr xreg = 31
)

// armCondition is what a conditional instruction asks of the flags.
type armCondition uint32

const (
	armNotEqual   armCondition = 1
	armAboveEqual armCondition = 2 // unsigned, as all here
	armAbove      armCondition = 8
	armBelowEqual armCondition = 9
	armBelow      armCondition = 3
)

// armAssembler writes arm64 code (Arm's reference manual, chapter C6). Its methods are named as the instructions are; the destination is the
// first operand.
type armAssembler struct {
	at     uint64
	code   []byte
	labels map[string]int
	jumps  map[int]string
	err    error // the first that occurred
}

func newARMAssembler(at uint64) *armAssembler {
	return &armAssembler{at: at, labels: map[string]int{}, jumps: map[int]string{}}
}

func (a *armAssembler) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

func (a *armAssembler) here() uint64 { return a.at + uint64(len(a.code)) }

func (a *armAssembler) emit(word uint32) { a.code = binary.LittleEndian.AppendUint32(a.code, word) }

// three appends an instruction with three registers.
func (a *armAssembler) three(op uint32, d, n, m xreg) {
	a.emit(op | uint32(m)<<16 | uint32(n)<<5 | uint32(d))
}

// set gives a register a value, 16 bits at a time.
func (a *armAssembler) set(d xreg, v uint64) {
	const movz, movk = 0xd2800000, 0xf2800000
	a.emit(movz | uint32(v&0xffff)<<5 | uint32(d))
	for part := uint32(1); part < 4; part++ {
		if half := uint32(v>>(16*part)) & 0xffff; half != 0 {
			a.emit(movk | part<<21 | half<<5 | uint32(d))
		}
	}
}

func (a *armAssembler) mov(d, n xreg)    { a.three(0xaa000000, d, xzr, n) }
func (a *armAssembler) sub(d, n, m xreg) { a.three(0xcb000000, d, n, m) }
func (a *armAssembler) and(d, n, m xreg) { a.three(0x8a000000, d, n, m) }
func (a *armAssembler) mul(d, n, m xreg) { a.three(0x9b007c00, d, n, m) }
func (a *armAssembler) lsr(d, n, m xreg) { a.three(0x9ac02400, d, n, m) }
func (a *armAssembler) cmp(n, m xreg)    { a.three(0xeb000000, xzr, n, m) }

// add and orr take their second operand shifted left.
func (a *armAssembler) add(d, n, m xreg, left uint32) { a.three(0x8b000000|left<<10, d, n, m) }
func (a *armAssembler) orr(d, n, m xreg, left uint32) { a.three(0xaa000000|left<<10, d, n, m) }

// addImm and subImm have room for 12 bits, or for 12 that are followed by 12 zeros.
func (a *armAssembler) addImm(d, n xreg, v uint64) { a.immediate(0x91000000, d, n, v) }
func (a *armAssembler) subImm(d, n xreg, v uint64) { a.immediate(0xd1000000, d, n, v) }
func (a *armAssembler) cmpImm(n xreg, v uint64)    { a.immediate(0xf1000000, xzr, n, v) }

func (a *armAssembler) immediate(op uint32, d, n xreg, v uint64) {
	const bits, shifted = 12, 1 << 22
	if v >= 1<<bits {
		op |= shifted
		if v%(1<<bits) != 0 || v >= 1<<(2*bits) {
			a.fail("%#x is no immediate", v)
		}
		v >>= bits
	}
	a.emit(op | uint32(v)<<10 | uint32(n)<<5 | uint32(d))
}

// ubfx copies some bits of n, from one on, to the lowest of d; bfi copies the lowest to some.
func (a *armAssembler) ubfx(d, n xreg, from, width uint32) {
	a.emit(0xd3400000 | from<<16 | (from+width-1)<<10 | uint32(n)<<5 | uint32(d))
}

func (a *armAssembler) bfi(d, n xreg, to, width uint32) {
	a.emit(0xb3400000 | (64-to)%64<<16 | (width-1)<<10 | uint32(n)<<5 | uint32(d))
}

// csel chooses n if the condition holds, else m.
func (a *armAssembler) csel(d, n, m xreg, c armCondition) {
	a.three(0x9a800000|uint32(c)<<12, d, n, m)
}

// memory appends an access to a word of some bytes.
func (a *armAssembler) memory(op uint32, t, base xreg, offset uint64, size uint64) {
	if offset%size != 0 || offset/size >= 1<<12 {
		a.fail("%#x is no offset", offset)
	}
	a.emit(op | uint32(offset/size)<<10 | uint32(base)<<5 | uint32(t))
}

func (a *armAssembler) ldr(t, base xreg, offset uint64) { a.memory(0xf9400000, t, base, offset, 8) }

func (a *armAssembler) ldrb(t, base xreg, offset uint64) { a.memory(0x39400000, t, base, offset, 1) }

func (a *armAssembler) str(t, base xreg, offset uint64) { a.memory(0xf9000000, t, base, offset, 8) }

func (a *armAssembler) str32(t, base xreg, offset uint64) { a.memory(0xb9000000, t, base, offset, 4) }

// stlr stores what is seen only after all stores before it.
func (a *armAssembler) stlr(t, base xreg) { a.emit(0xc89ffc00 | uint32(base)<<5 | uint32(t)) }

// ldadd adds s to memory at once, and puts into t what was there before (of Armv8.1).
func (a *armAssembler) ldadd(s, t, base xreg) { a.three(0xf8200000, t, base, s) }

func (a *armAssembler) isb()            { a.emit(0xd5033fdf) }
func (a *armAssembler) counter(d xreg)  { a.emit(0xd53be040 | uint32(d)) } // mrs of cntvct_el0
func (a *armAssembler) b(label string)  { a.toLabel(0x14000000, label) }
func (a *armAssembler) label(n string)  { a.labels[n] = len(a.code) }
func (a *armAssembler) bAway(to uint64) { a.emit(0x14000000 | a.distance(int64(to-a.here()), 26)) }

func (a *armAssembler) bcc(c armCondition, label string) { a.toLabel(0x54000000|uint32(c), label) }

func (a *armAssembler) cbz(t xreg, label string) { a.toLabel(0xb4000000|uint32(t), label) }

func (a *armAssembler) cbnz(t xreg, label string) { a.toLabel(0xb5000000|uint32(t), label) }

func (a *armAssembler) tbz(t xreg, bit uint32, label string) {
	a.toLabel(testBit(0x36000000, t, bit), label)
}

func (a *armAssembler) tbnz(t xreg, bit uint32, label string) {
	a.toLabel(testBit(0x37000000, t, bit), label)
}

func testBit(op uint32, t xreg, bit uint32) uint32 { return op | bit>>5<<31 | bit&31<<19 | uint32(t) }

func (a *armAssembler) toLabel(op uint32, name string) {
	a.jumps[len(a.code)] = name
	a.emit(op)
}

// distance encodes how far a jump goes, in instructions.
func (a *armAssembler) distance(bytes int64, bits uint) uint32 {
	n := bytes / 4
	if limit := int64(1) << (bits - 1); n < -limit || n >= limit || bytes%4 != 0 {
		a.fail("a jump of %#x bytes does not reach that far", bytes)
	}
	return uint32(n) & (1<<bits - 1)
}

// resolve lets jumps reach their labels, whose names can be used again then.
func (a *armAssembler) resolve() {
	for at, name := range a.jumps {
		to, known := a.labels[name]
		if !known {
			a.fail("there is no label %s", name)
		}
		word := binary.LittleEndian.Uint32(a.code[at:])
		switch word >> 25 & 0x3f {
		case 0x0a, 0x0b: // b
			word |= a.distance(int64(to-at), 26)
		case 0x1b: // tbz, tbnz
			word |= a.distance(int64(to-at), 14) << 5
		default: // b.cond, cbz, cbnz
			word |= a.distance(int64(to-at), 19) << 5
		}
		binary.LittleEndian.PutUint32(a.code[at:], word)
	}
	clear(a.labels)
	clear(a.jumps)
}
