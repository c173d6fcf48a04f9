package goexe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// jumpSize is the length of a jump to anywhere within 2 GiB, in bytes.
const jumpSize = 5

func (amd64) patches(f function, what swapped) (patches []Patch, err error) {
	code, err := decodeX86(f)
	if err != nil {
		return nil, err
	}
	targets := targetsIn(code)
	if f.name == casgstatus {
		p, err := callPatch(code, targets)
		return []Patch{p}, err
	}
	for i, in := range code {
		if what.function != 0 && in.calls(what.function) && passesStatus(code[:i], what.atomicstatus) {
			return nil, errSwapByCall
		}
		if _, ok := isStatusSwap(in, what.atomicstatus); !ok {
			continue
		}
		p, err := swapPatch(in, what.atomicstatus, targets)
		if err != nil {
			return nil, fmt.Errorf("+%#x: %w", in.address-f.entry, err)
		}
		p.Function, p.Syscall = f.name, syscallEnds[f.name]
		p.Becomes = constantIn(code[:i+1], in.Args[1].(x86asm.Reg), targets)
		patches = append(patches, p)
	}
	return patches, nil
}

// swapPatch returns a compare-and-swap, if it is nothing else than what the compiler makes of one: with a prefix that locks, of a register
// and a g that another register points at, neither of which is RAX, or of the stack.
func swapPatch(in x86, atomicstatus int64, targets map[uint64]bool) (Patch, error) {
	m, next := in.Args[0].(x86asm.Mem), in.Args[1].(x86asm.Reg)
	g, isG := ordinary(m.Base)
	n, isNext := ordinary(next)
	switch {
	case !isG || !isNext || g == n || !bytes.Equal(in.bytes, statusSwap(g, n, atomicstatus)):
		return Patch{}, fmt.Errorf("the status is swapped in an unknown way (% x)", in.bytes)
	case isEntered(in, targets):
		return Patch{}, errors.New("a jump leads into the swap of the status")
	}
	return Patch{Kind: Swap, Address: in.address, Code: bytes.Clone(in.bytes), G: g, New: n}, nil
}

// ordinary returns the number by which instructions name a register: of those that the compiler gives to variables, and that are not RAX
// (cmd/compile/abi-internal.md; R14 is the current g).
func ordinary(r x86asm.Reg) (uint8, bool) {
	w := whole(r)
	if w <= x86asm.RAX || w > x86asm.R15 || w == x86asm.RSP || w == x86asm.RBP {
		return 0, false
	}
	return uint8(w - x86asm.RAX), true
}

// statusSwap encodes `lock cmpxchg %next, atomicstatus(%g)` of 32 bits (Intel's manual, volume 2, chapter 2).
func statusSwap(g, next uint8, atomicstatus int64) []byte {
	const (
		lock, rex, rexG, rexNext = 0xf0, 0x40, 1, 4
		distance32, index        = 0x80, 4 // the form of the operand, and that there is a byte for an index
		none                     = 4
	)
	code := []byte{lock}
	if prefix := rex | g>>3*rexG | next>>3*rexNext; prefix != rex {
		code = append(code, prefix)
	}
	code = append(code, 0x0f, 0xb1, distance32|next&7<<3|g&7)
	if g&7 == index { // R12
		code = append(code, none<<3|g&7)
	}
	return binary.LittleEndian.AppendUint32(code, uint32(atomicstatus))
}

// isEntered tells whether the code jumps into the middle of an instruction.
func isEntered(in x86, targets map[uint64]bool) bool {
	for i := 1; i < in.Len; i++ {
		if targets[in.address+uint64(i)] {
			return true
		}
	}
	return false
}

// callPatch returns the first instruction of a function's prologue that stores a register on the stack and is long enough: of casgstatus
// `mov %rbp, n(%rsp)` at +4 to Go 1.20, `mov %rax, n(%rsp)` at +8 from 1.21 on. Each call passes it once, as nothing jumps to it or to what
// precedes it; casgstatus has no check of the stack's size that would (go:nosplit, runtime/proc.go, Go 1.17 to 1.27).
//
// Before it, the prologue has changed nothing but RSP, RBP and the flags. So all that a function finds dead when it is called is still dead
// there: the flags, RDX (of a function that is no closure), RSI, RDI, R8 to R13 and X0 to X14 (cmd/compile/abi-internal.md). R15 is not
// counted, as dynamically linked code has a use for it.
func callPatch(code []x86, targets map[uint64]bool) (Patch, error) {
	stored := []x86asm.Reg{x86asm.RAX, x86asm.RBX, x86asm.RCX, x86asm.RBP}
	for _, in := range code {
		if targets[in.address] || !in.isPrologue(stored) || isEntered(in, targets) {
			break
		}
		if in.isSpill(stored) && len(in.bytes) >= jumpSize {
			return Patch{Kind: Call, Function: casgstatus, Address: in.address, Code: bytes.Clone(in.bytes), Becomes: unknownStatus}, nil
		}
	}
	return Patch{}, errors.New("its prologue stores no argument by an instruction of 5 bytes")
}

// isPrologue tells the instructions by which functions make their stack frame, or store arguments there.
func (in x86) isPrologue(stored []x86asm.Reg) bool {
	to, _ := in.Args[0].(x86asm.Reg)
	switch in.Op {
	case x86asm.NOP:
		return true
	case x86asm.PUSH:
		return to == x86asm.RBP
	case x86asm.SUB, x86asm.ADD:
		_, constant := in.Args[1].(x86asm.Imm)
		return to == x86asm.RSP && constant
	case x86asm.LEA:
		return to == x86asm.RBP && isFrame(in.Args[1])
	case x86asm.MOV:
		return to == x86asm.RBP && in.Args[1] == x86asm.RSP || in.isSpill(stored)
	}
	return false
}

// isSpill tells the store of an argument, or of the caller's frame pointer, into the stack frame. It does the same at any address.
func (in x86) isSpill(stored []x86asm.Reg) bool {
	from, _ := in.Args[1].(x86asm.Reg)
	return in.Op == x86asm.MOV && slices.Contains(stored, whole(from)) && isFrame(in.Args[0])
}

// isFrame tells a place at a constant distance from RSP.
func isFrame(a x86asm.Arg) bool {
	m, ok := a.(x86asm.Mem)
	return ok && m.Base == x86asm.RSP && m.Index == 0 && m.Segment == 0
}
