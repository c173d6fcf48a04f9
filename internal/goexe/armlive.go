package goexe

import (
	"golang.org/x/arch/arm64/arm64asm"
)

// registerSet has a bit for each general register, by its number.
type registerSet uint32

// Registers of arm64 (cmd/compile/abi-internal.md). R18 belongs to the system, R28 is the current g, R29 the frame pointer, R30 the return
// address.
const (
	// armVariables are those that the compiler gives to variables, and R27, which is the assembler's for a few instructions.
	armVariables = (1<<28 - 1) &^ (1 << 18)
	// armFreeInCalls are those that hold nothing when a function with three arguments is called that is no closure: but R16 and R17, which
	// linkers use, and R27.
	armFreeInCalls = (1<<16-1)&^7 | 0x7f<<19
	// armReadByCalls are those that may hold arguments: of Go's functions, of duffzero and duffcopy (runtime/duff_arm64.s), and of closures.
	armReadByCalls registerSet = 1<<16 - 1 | 1<<20 | 1<<21 | 1<<26
	armReadByRet   registerSet = 1<<16 - 1
	armAll         registerSet = 1<<32 - 1
)

// liveBehind returns, for each instruction of a function, the registers of which something reads later what they hold behind it. It counts
// too many rather than too few.
func liveBehind(code []arm) ([]registerSet, error) {
	before, behind := make([]registerSet, len(code)), make([]registerSet, len(code))
	for range maxVisits {
		changed := false
		for i := len(code) - 1; i >= 0; i-- {
			out := registerSet(0)
			if code[i].leaves(code) {
				out = armAll
			}
			for _, next := range successors(code, i) {
				out |= before[next]
			}
			in := code[i].reads() | out&^code[i].defines()
			changed = changed || in != before[i] || out != behind[i]
			before[i], behind[i] = in, out
		}
		if !changed {
			return behind, nil
		}
	}
	return nil, errComplicated
}

// leaves tells a jump to another function, which may have arguments.
func (in arm) leaves(code []arm) bool {
	to, ok := in.target()
	return ok && in.Op != arm64asm.BL && (to < code[0].address || to > code[len(code)-1].address)
}

// defines returns the registers that an instruction gives values which do not depend on those that they had; a call of a function leaves
// none as it is.
func (in arm) defines() registerSet {
	switch {
	case in.Op == arm64asm.BL, in.Op == arm64asm.BLR:
		return armVariables
	case !armSimple[in.Op], in.Op == arm64asm.MOVK:
		return 0
	}
	if r, ok := in.register(0); ok {
		return 1 << r
	}
	return 0
}

// reads returns the registers that an instruction may read.
func (in arm) reads() (set registerSet) {
	switch in.Op {
	case 0:
		return in.fields() | in.field(0)
	case arm64asm.BL:
		return armReadByCalls
	case arm64asm.RET:
		return armReadByRet
	case arm64asm.BR:
		return armAll
	case arm64asm.BLR:
		set = armReadByCalls
	}
	for i, a := range in.Args {
		switch a := a.(type) {
		case arm64asm.Reg, arm64asm.RegSP:
			if r, ok := armRegister(a); ok && (i > 0 || in.defines() == 0) {
				set |= 1 << r
			}
		case arm64asm.MemImmediate:
			set |= baseOf(a.Base)
		case arm64asm.MemExtend:
			set |= baseOf(a.Base) | baseOf(a.Index)
		case arm64asm.RegExtshiftAmount:
			set |= in.field(16)
		case nil, arm64asm.Imm, arm64asm.Imm64, arm64asm.PCRel, arm64asm.Cond, arm64asm.ImmShift:
		default: // which register it is, arm64asm does not tell of each
			set |= in.fields()
			if in.defines() == 0 {
				set |= in.field(0)
			}
		}
	}
	return set
}

func baseOf(a arm64asm.Arg) registerSet {
	if r, ok := armRegister(a); ok {
		return 1 << r
	}
	return 0
}

// field returns the register that an encoding may have at a bit.
func (in arm) field(bit int) registerSet { return 1 << (in.Enc >> bit & 31) }

// fields returns the registers that an encoding may have as operands, but for the first.
func (in arm) fields() registerSet { return in.field(5) | in.field(10) | in.field(16) }
