package goexe

import (
	"bytes"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// x86 is a decoded instruction of amd64.
type x86 struct {
	x86asm.Inst
	address uint64
	bytes   []byte
}

// decodeX86 decodes a whole function.
func decodeX86(f function) ([]x86, error) {
	var list []x86
	for at := 0; at < len(f.code); {
		in, err := x86asm.Decode(f.code[at:], 64)
		if err != nil || in.Len == 0 {
			return nil, fmt.Errorf("%s+%#x: undecodable instruction", f.name, at)
		}
		list = append(list, x86{Inst: in, address: f.entry + uint64(at), bytes: f.code[at : at+in.Len]})
		at += in.Len
	}
	return list, nil
}

// target returns the address that a jump goes to.
func (in x86) target() (uint64, bool) {
	rel, ok := in.Args[0].(x86asm.Rel)
	return in.address + uint64(in.Len) + uint64(int64(rel)), ok
}

func (in x86) isConditionalJump() bool {
	b := in.bytes
	return b[0]&0xf0 == 0x70 || len(b) > 1 && b[0] == 0x0f && b[1]&0xf0 == 0x80
}

// endsBlock tells whether the next instruction need not be the one that follows.
func (in x86) endsBlock() bool {
	switch in.Op {
	case x86asm.JMP, x86asm.RET, x86asm.CALL, x86asm.UD2, x86asm.INT:
		return true
	}
	return in.isConditionalJump()
}

// cost classifies an instruction as the kernel does (arch/x86/kernel/uprobes.c: branch_setup_xol_ops, push_setup_xol_ops,
// can_optimize).
func (in x86) cost() Cost {
	b := in.bytes
	switch {
	case bytes.Equal(b, []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}):
		return Nop5
	case len(b) == 1 && b[0] == 0x90:
		return Emulated
	case len(b) <= 2 && b[len(b)-1]&0xf8 == 0x50 && (len(b) == 1 || b[0]&0xf0 == 0x40):
		return EmulatedPush // of a 64-bit register
	case in.isConditionalJump(), b[0] == 0xeb, b[0] == 0xe9, b[0] == 0xe8:
		return Emulated
	}
	return SingleStepped
}

// kernelOrder lists the registers in the order of the kernel's struct pt_regs (arch/x86/include/asm/ptrace.h).
var kernelOrder = [...]x86asm.Reg{
	x86asm.R15, x86asm.R14, x86asm.R13, x86asm.R12, x86asm.RBP, x86asm.RBX, x86asm.R11, x86asm.R10,
	x86asm.R9, x86asm.R8, x86asm.RAX, x86asm.RCX, x86asm.RDX, x86asm.RSI, x86asm.RDI,
}

// kernelFlags is the number of the flags register in struct pt_regs.
const kernelFlags = 18

// whole returns the 64-bit register that a register is a part of. It knows no AH, CH, DH and BH, which Go does not use.
func whole(r x86asm.Reg) x86asm.Reg {
	switch {
	case r >= x86asm.AL && r <= x86asm.BL:
		return x86asm.RAX + (r - x86asm.AL)
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return x86asm.RSP + (r - x86asm.SPB)
	case r >= x86asm.AX && r <= x86asm.R15W:
		return x86asm.RAX + (r - x86asm.AX)
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return x86asm.RAX + (r - x86asm.EAX)
	}
	return r
}

func sameRegister(a, b x86asm.Reg) bool { return whole(a) == whole(b) }

func kernelRegister(r x86asm.Reg) (uint8, bool) {
	for i, k := range kernelOrder {
		if k == whole(r) {
			return uint8(i), true
		}
	}
	return 0, false
}

// readOnly are the instructions, of those that Go's compiler emits here, that do not write their first operand.
var readOnly = map[x86asm.Op]bool{
	x86asm.BT: true, x86asm.CMP: true, x86asm.TEST: true, x86asm.PUSH: true, x86asm.NOP: true, x86asm.JMP: true,
}

// overwrites tells whether an instruction may change a register; an instruction with hidden operands may.
func (in x86) overwrites(r x86asm.Reg) bool {
	switch in.Op {
	case x86asm.XCHG, x86asm.XADD, x86asm.CMPXCHG, x86asm.CALL, x86asm.MUL, x86asm.DIV, x86asm.IDIV, x86asm.CQO, x86asm.CDQ, x86asm.SYSCALL:
		return in.Op != x86asm.XCHG || !in.isNop()
	}
	if readOnly[in.Op] || in.isConditionalJump() {
		return false
	}
	to, ok := in.Args[0].(x86asm.Reg)
	return ok && sameRegister(to, r)
}

// isNop tells the one-byte nop, which x86asm may show as the exchange of RAX with itself.
func (in x86) isNop() bool { return len(in.bytes) == 1 && in.bytes[0] == 0x90 }
