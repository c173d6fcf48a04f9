package code

import (
	"encoding/binary"
	"fmt"
	"math"
)

// reg is a register of amd64: its number, and whether only the lower half is meant. To write that makes the upper half 0.
type reg uint8

const (
	rax reg = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r8
	r9
	r10
	r11
	r12
	r13
	r14
	r15
)

const half reg = 0x10

const (
	eax  = rax | half
	ecx  = rcx | half
	edx  = rdx | half
	ebx  = rbx | half
	esi  = rsi | half
	r8d  = r8 | half
	r9d  = r9 | half
	r11d = r11 | half
	r12d = r12 | half
	r13d = r13 | half
)

func (r reg) number() byte { return byte(r &^ half) }
func (r reg) whole() bool  { return r&half == 0 }

// mem is what lies at a distance from where a register points.
type mem struct {
	base reg
	disp int32
}

// imm is a number in an instruction, which is extended by its sign.
type imm int32

// operand is a reg, a mem or an imm.
type operand any

// condition is what a conditional jump asks of the flags.
type condition byte

const (
	below      condition = 0x2 // unsigned; also: the carry flag is set
	aboveEqual condition = 0x3
	zero       condition = 0x4 // also: equal
	notZero    condition = 0x5
	belowEqual condition = 0x6
	above      condition = 0x7

	carry, noCarry, equal, notEqual = below, aboveEqual, zero, notZero
)

// assembler writes amd64 code. Its methods are named as the instructions are; the destination is the first operand.
type assembler struct {
	at     uint64 // the address of the first byte
	code   []byte
	labels map[string]int
	jumps  map[int]string // displacements that wait for labels, by where they are
	err    error          // the first that occurred
}

func newAssembler(at uint64) *assembler {
	return &assembler{at: at, labels: map[string]int{}, jumps: map[int]string{}}
}

func (a *assembler) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

// here is the address of the next instruction.
func (a *assembler) here() uint64 { return a.at + uint64(len(a.code)) }

func (a *assembler) emit(b ...byte) { a.code = append(a.code, b...) }

func (a *assembler) emit32(v uint32) { a.code = binary.LittleEndian.AppendUint32(a.code, v) }

const (
	lockPrefix = 0xf0
	rex        = 0x40
	rexWhole   = 0x08
	rexField   = 0x04
	rexRM      = 0x01
)

// encode appends an instruction with a ModRM byte (Intel's manual, volume 2, chapter 2.1): field is a register's number or part of the
// opcode.
func (a *assembler) encode(whole bool, field byte, rm operand, opcode ...byte) {
	base, isReg := rm.(reg)
	m, isMem := rm.(mem)
	if isMem {
		base = m.base
	} else if !isReg {
		a.fail("%v is no operand of instruction %#x", rm, opcode)
		return
	}
	prefix := byte(rex)
	if whole {
		prefix |= rexWhole
	}
	if field > 7 {
		prefix |= rexField
	}
	if base.number() > 7 {
		prefix |= rexRM
	}
	if prefix != rex {
		a.emit(prefix)
	}
	a.emit(opcode...)
	if isReg {
		a.emit(0xc0 | field&7<<3 | base.number()&7)
		return
	}
	a.address(field&7<<3, m)
}

// address appends the ModRM byte of a memory operand and what belongs to it.
func (a *assembler) address(field byte, m mem) {
	const short, long = 0x40, 0x80
	n, mode := m.base.number()&7, byte(long)
	if m.disp == int32(int8(m.disp)) {
		mode = short
	}
	a.emit(mode | field | n)
	if n == rsp.number() {
		a.emit(0x24) // the base alone
	}
	if mode == short {
		a.emit(byte(m.disp))
	} else {
		a.emit32(uint32(m.disp))
	}
}

// arithmetic appends one of the eight instructions that share their form.
func (a *assembler) arithmetic(n byte, dst reg, src operand) {
	switch s := src.(type) {
	case reg:
		a.encode(dst.whole(), s.number(), dst, n<<3|1)
	case mem:
		a.encode(dst.whole(), dst.number(), s, n<<3|3)
	case imm:
		if s == imm(int8(s)) {
			a.encode(dst.whole(), n, dst, 0x83)
			a.emit(byte(s))
			return
		}
		a.encode(dst.whole(), n, dst, 0x81)
		a.emit32(uint32(s))
	}
}

func (a *assembler) add(dst reg, src operand) { a.arithmetic(0, dst, src) }
func (a *assembler) or(dst reg, src operand)  { a.arithmetic(1, dst, src) }
func (a *assembler) and(dst reg, src operand) { a.arithmetic(4, dst, src) }
func (a *assembler) sub(dst reg, src operand) { a.arithmetic(5, dst, src) }
func (a *assembler) cmp(dst reg, src operand) { a.arithmetic(7, dst, src) }

// mov copies a register or memory to a register.
func (a *assembler) mov(dst reg, src operand) {
	switch s := src.(type) {
	case reg:
		a.encode(dst.whole(), s.number(), dst, 0x89)
	case mem:
		a.encode(dst.whole(), dst.number(), s, 0x8b)
	default:
		a.fail("%v cannot be copied", src)
	}
}

// set gives a register a value, in the shortest form.
func (a *assembler) set(dst reg, v uint64) {
	prefix := byte(rex)
	if dst.number() > 7 {
		prefix |= rexRM
	}
	narrow := v <= math.MaxUint32
	if !narrow {
		prefix |= rexWhole
	}
	if prefix != rex {
		a.emit(prefix)
	}
	a.emit(0xb8 | dst.number()&7)
	if narrow {
		a.emit32(uint32(v))
		return
	}
	a.code = binary.LittleEndian.AppendUint64(a.code, v)
}

func (a *assembler) store(dst mem, src reg)    { a.encode(src.whole(), src.number(), dst, 0x89) }
func (a *assembler) loadByte(dst reg, src mem) { a.encode(false, dst.number(), src, 0x0f, 0xb6) }
func (a *assembler) lea(dst reg, src mem)      { a.encode(true, dst.number(), src, 0x8d) }
func (a *assembler) xchg(x, y reg)             { a.encode(x.whole(), y.number(), x, 0x87) }

// imul multiplies the source by a small number.
func (a *assembler) imul(dst reg, src operand, by int8) {
	a.encode(dst.whole(), dst.number(), src, 0x6b)
	a.emit(byte(by))
}

func (a *assembler) shl(dst reg, by uint8) {
	a.encode(dst.whole(), 4, dst, 0xc1)
	a.emit(by)
}

func (a *assembler) shr(dst reg, by uint8) {
	a.encode(dst.whole(), 5, dst, 0xc1)
	a.emit(by)
}

// test sets the zero flag if no bit is set in both.
func (a *assembler) test(x reg, y operand) {
	switch y := y.(type) {
	case reg:
		a.encode(x.whole(), y.number(), x, 0x85)
	case imm:
		a.encode(x.whole(), 0, x, 0xf7)
		a.emit32(uint32(y))
	}
}

// bt sets the carry flag to a bit; it looks only at the lower bits of its number, as many as the set's size takes.
func (a *assembler) bt(set, bit reg) { a.encode(set.whole(), bit.number(), set, 0x0f, 0xa3) }

// lockXadd adds to memory, and puts into the register what was there before.
func (a *assembler) lockXadd(dst mem, src reg) {
	a.emit(lockPrefix)
	a.encode(src.whole(), src.number(), dst, 0x0f, 0xc1)
}

func (a *assembler) lockInc(dst mem) {
	a.emit(lockPrefix)
	a.encode(true, 0, dst, 0xff)
}

func (a *assembler) rdtsc()  { a.emit(0x0f, 0x31) }
func (a *assembler) rdtscp() { a.emit(0x0f, 0x01, 0xf9) }

func (a *assembler) rdpid(dst reg) {
	a.emit(0xf3)
	a.encode(false, 7, dst, 0x0f, 0xc7)
}

// label names the next instruction.
func (a *assembler) label(name string) {
	if _, twice := a.labels[name]; twice {
		a.fail("label %s is there twice", name)
	}
	a.labels[name] = len(a.code)
}

func (a *assembler) toLabel(name string) {
	a.jumps[len(a.code)] = name
	a.emit32(0)
}

func (a *assembler) jmp(label string) {
	a.emit(0xe9)
	a.toLabel(label)
}

func (a *assembler) jcc(c condition, label string) {
	a.emit(0x0f, 0x80|byte(c))
	a.toLabel(label)
}

// jmpAway and jccAway jump to an address in other code.
func (a *assembler) jmpAway(to uint64) {
	a.emit(0xe9)
	a.away(to)
}

func (a *assembler) jccAway(c condition, to uint64) {
	a.emit(0x0f, 0x80|byte(c))
	a.away(to)
}

func (a *assembler) away(to uint64) {
	distance := int64(to - (a.here() + 4))
	if distance != int64(int32(distance)) {
		a.fail("a jump from %#x does not reach %#x", a.here(), to)
	}
	a.emit32(uint32(distance))
}

// jmpMem jumps to the address that memory holds.
func (a *assembler) jmpMem(to mem) { a.encode(false, 4, to, 0xff) }

// leaLabel puts the address of a label into a register.
func (a *assembler) leaLabel(dst reg, name string) {
	prefix := byte(rex | rexWhole)
	if dst.number() > 7 {
		prefix |= rexField
	}
	a.emit(prefix, 0x8d, 0x05|dst.number()&7<<3) // relative to the next instruction
	a.toLabel(name)
}

// onlyIf appends what is passed over unless the condition holds.
func (a *assembler) onlyIf(c condition, body func()) {
	a.emit(0x70|byte(c^1), 0)
	from := len(a.code)
	body()
	over := len(a.code) - from
	if over > math.MaxInt8 {
		a.fail("%d bytes to pass over", over)
	}
	a.code[from-1] = byte(over)
}

// resolve lets jumps reach their labels, whose names can be used again then.
func (a *assembler) resolve() {
	for at, name := range a.jumps {
		to, known := a.labels[name]
		if !known {
			a.fail("there is no label %s", name)
		}
		binary.LittleEndian.PutUint32(a.code[at:], uint32(to-(at+4)))
	}
	clear(a.labels)
	clear(a.jumps)
}

// align fills up to a multiple with instructions that nothing reaches and that would stop the process.
func (a *assembler) align(to int) {
	for len(a.code)%to != 0 {
		a.emit(int3)
	}
}

const (
	ret  = 0xc3
	int3 = 0xcc
)
