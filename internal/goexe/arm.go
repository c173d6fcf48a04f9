package goexe

import (
	"encoding/binary"

	"golang.org/x/arch/arm64/arm64asm"
)

// arm is a decoded instruction of arm64. What arm64asm does not know has Op 0, and ends what is known of registers.
type arm struct {
	arm64asm.Inst
	address uint64
}

// armSize is the length of each instruction in bytes.
const armSize = 4

// decodeARM decodes a whole function.
func decodeARM(f function) []arm {
	list := make([]arm, 0, len(f.code)/armSize)
	for at := 0; at+armSize <= len(f.code); at += armSize {
		in, err := arm64asm.Decode(f.code[at:])
		if err != nil {
			in = arm64asm.Inst{Enc: binary.LittleEndian.Uint32(f.code[at:])}
		}
		list = append(list, arm{Inst: in, address: f.entry + uint64(at)})
	}
	return list
}

// armRegister returns the number, 0 to 30, of a general register or its lower half, which is the kernel's number too
// (arch/arm64/include/uapi/asm/ptrace.h).
func armRegister(a arm64asm.Arg) (uint8, bool) {
	var r arm64asm.Reg
	switch a := a.(type) {
	case arm64asm.Reg:
		r = a
	case arm64asm.RegSP:
		r = arm64asm.Reg(a)
	default:
		return 0, false
	}
	switch {
	case r < arm64asm.WZR:
		return uint8(r - arm64asm.W0), true
	case r >= arm64asm.X0 && r < arm64asm.XZR:
		return uint8(r - arm64asm.X0), true
	}
	return 0, false
}

// register returns the number of an operand that is a general register.
func (in arm) register(argument int) (uint8, bool) {
	return armRegister(in.Args[argument])
}

// added returns the register and the number of which an instruction makes the sum.
func (in arm) added() (to, from uint8, number int64, ok bool) {
	const mask, add, shifted = 0xff800000, 0x91000000, 1 << 22 // ADD of an immediate to a 64-bit register
	to, isTo := in.register(0)
	from, isFrom := in.register(1)
	return to, from, int64(in.Enc >> 10 & 0xfff), in.Enc&mask == add && in.Enc&shifted == 0 && isTo && isFrom
}

// pointer returns the register that points at what an atomic instruction works on.
func (in arm) pointer() uint8 { return uint8(in.Enc >> 5 & 31) }

// target returns the address that a jump goes to.
func (in arm) target() (uint64, bool) {
	for _, a := range in.Args {
		if to, ok := a.(arm64asm.PCRel); ok && in.isJump() {
			return in.address + uint64(to), true
		}
	}
	return 0, false
}

func (in arm) isJump() bool {
	switch in.Op {
	case arm64asm.B, arm64asm.BL, arm64asm.CBZ, arm64asm.CBNZ, arm64asm.TBZ, arm64asm.TBNZ:
		return true
	}
	return false
}

// isPlainJump tells an unconditional jump from one with a condition, which has the same name.
func (in arm) isPlainJump() bool {
	_, ok := in.Args[0].(arm64asm.PCRel)
	return in.Op == arm64asm.B && ok
}

// endsBlock tells whether the next instruction need not be the one that follows.
func (in arm) endsBlock() bool {
	return in.isJump() || in.Op == arm64asm.RET || in.Op == arm64asm.BR || in.Op == arm64asm.BLR || in.Op == arm64asm.BRK
}

// cost classifies an instruction as the kernel does (arch/arm64/kernel/probes/decode-insn.c: arm_probe_decode_insn).
func (in arm) cost() Cost {
	if in.isJump() || in.Op == arm64asm.RET || in.Op == arm64asm.BR || in.Op == arm64asm.BLR {
		return Emulated
	}
	return SingleStepped
}

// armReadOnly are instructions that change no general register.
var armReadOnly = map[arm64asm.Op]bool{
	arm64asm.CMP: true, arm64asm.CMN: true, arm64asm.TST: true, arm64asm.NOP: true, arm64asm.CBZ: true, arm64asm.CBNZ: true,
	arm64asm.TBZ: true, arm64asm.TBNZ: true, arm64asm.B: true,
}

// armStores are instructions that store registers, and change at the most the one that points there.
var armStores = map[arm64asm.Op]bool{
	arm64asm.STR: true, arm64asm.STRB: true, arm64asm.STRH: true, arm64asm.STUR: true, arm64asm.STP: true, arm64asm.STLR: true,
}

// armPairs are instructions that load two registers.
var armPairs = map[arm64asm.Op]bool{arm64asm.LDP: true, arm64asm.LDPSW: true, arm64asm.LDNP: true}

// armSimple are instructions that change their first operand only.
var armSimple = map[arm64asm.Op]bool{
	arm64asm.ADD: true, arm64asm.ADDS: true, arm64asm.SUB: true, arm64asm.SUBS: true, arm64asm.AND: true, arm64asm.ORR: true,
	arm64asm.EOR: true, arm64asm.MOV: true, arm64asm.MOVZ: true, arm64asm.MOVK: true, arm64asm.MOVN: true, arm64asm.ADR: true,
	arm64asm.ADRP: true, arm64asm.CSET: true, arm64asm.CSEL: true, arm64asm.CSINC: true, arm64asm.SXTW: true, arm64asm.SXTB: true,
	arm64asm.SXTH: true, arm64asm.UXTB: true, arm64asm.UXTH: true, arm64asm.UBFX: true, arm64asm.UBFIZ: true, arm64asm.LSL: true,
	arm64asm.LSR: true, arm64asm.ASR: true, arm64asm.LDR: true, arm64asm.LDRB: true, arm64asm.LDRH: true, arm64asm.LDRSB: true,
	arm64asm.LDRSH: true, arm64asm.LDRSW: true, arm64asm.LDUR: true, arm64asm.LDAR: true, arm64asm.LDARB: true, arm64asm.LDAXR: true,
	arm64asm.STLXR: true,
}

// overwrites tells whether an instruction may change a register; one that is not known may.
func (in arm) overwrites(r uint8) bool {
	for _, a := range in.Args {
		if m, ok := a.(arm64asm.MemImmediate); ok && (m.Mode == arm64asm.AddrPostIndex || m.Mode == arm64asm.AddrPreIndex) {
			if base, ok := armRegister(m.Base); ok && base == r {
				return true
			}
		}
	}
	first, isFirst := in.register(0)
	second, isSecond := in.register(1)
	switch {
	case armReadOnly[in.Op], armStores[in.Op]:
		return false
	case armPairs[in.Op]:
		return isFirst && first == r || isSecond && second == r
	case armSimple[in.Op]:
		return isFirst && first == r
	}
	return true
}
