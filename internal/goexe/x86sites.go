package goexe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// amd64 reads the code of 64-bit x86.
type amd64 struct{}

// isStatusSwap tells whether an instruction is a 32-bit compare-and-swap at the given offset from a register.
func isStatusSwap(in x86, atomicstatus int64) (x86asm.Mem, bool) {
	if in.Op != x86asm.CMPXCHG || in.bytes[0] != 0xf0 || in.MemBytes != 4 {
		return x86asm.Mem{}, false
	}
	m, ok := in.Args[0].(x86asm.Mem)
	return m, ok && m.Disp == atomicstatus && m.Index == 0 && m.Base != 0
}

// targetsIn returns the addresses that the code itself jumps to.
func targetsIn(code []x86) map[uint64]bool {
	targets := map[uint64]bool{}
	for _, in := range code {
		if to, ok := in.target(); ok {
			targets[to] = true
		}
	}
	return targets
}

// The arguments of casgstatus are in RAX, EBX and ECX.
func (amd64) callSite(f function) (Site, error) {
	code, err := decodeX86(f)
	if err != nil {
		return Site{}, err
	}
	targets := targetsIn(code)
	best := Site{Kind: Call, Cost: SingleStepped + 1}
	for i, in := range code {
		if i > 0 && targets[in.address] {
			break
		}
		if c := in.cost(); c < best.Cost {
			best.Address, best.Cost = in.address, c
		}
		if in.endsBlock() || in.overwrites(x86asm.RAX) || in.overwrites(x86asm.RBX) || in.overwrites(x86asm.RCX) {
			break
		}
	}
	return best, nil
}

func (amd64) mayHold(f function, what swapped) bool {
	return mayHoldSwap(f.code, what.atomicstatus) || mayCall(f, what.function)
}

func (amd64) swapSites(f function, what swapped) ([]Site, error) {
	code, err := decodeX86(f)
	if err != nil {
		return nil, err
	}
	var sites []Site
	targets := targetsIn(code)
	for i, in := range code {
		var s Site
		var err error
		if m, ok := isStatusSwap(in, what.atomicstatus); ok {
			next := in.Args[1].(x86asm.Reg)
			s, err = behindSwap(code[i+1:], m.Base, next, constantIn(code[:i+1], next, targets))
		} else if what.function != 0 && in.calls(what.function) && passesStatus(code[:i], what.atomicstatus) {
			s, err = swapCall(in, uint16(what.atomicstatus))
		} else {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s+%#x: %w", f.name, in.address-f.entry, err)
		}
		sites = append(sites, s)
	}
	return sites, nil
}

func (in x86) calls(function uint64) bool {
	to, ok := in.target()
	return ok && in.Op == x86asm.CALL && to == function
}

// mayCall spares decoding functions that hold no call of another.
func mayCall(f function, callee uint64) bool {
	if callee == 0 {
		return false
	}
	for i := 0; i+5 <= len(f.code); i++ {
		if f.code[i] == 0xe8 && f.entry+uint64(i)+5+uint64(int64(int32(binary.LittleEndian.Uint32(f.code[i+1:])))) == callee {
			return true
		}
	}
	return false
}

// passesStatus tells whether the code before a call passes it the address of a g's status, in RAX.
func passesStatus(before []x86, atomicstatus int64) bool {
	const window = 8
	holder := x86asm.RAX
	for i := len(before) - 1; i >= max(0, len(before)-window); i-- {
		in := before[i]
		to, isReg := in.Args[0].(x86asm.Reg)
		if isReg && to == holder {
			switch from := in.Args[1].(type) {
			case x86asm.Imm:
				return in.Op == x86asm.ADD && int64(from) == atomicstatus
			case x86asm.Mem:
				return in.Op == x86asm.LEA && from.Disp == atomicstatus && from.Base != x86asm.RIP && from.Index == 0
			case x86asm.Reg:
				if in.Op != x86asm.MOV {
					return false
				}
				holder = from
				continue
			}
		}
		if in.endsBlock() || in.overwrites(holder) {
			return false
		}
	}
	return false
}

// swapCall returns a site at the call of atomic.(*Uint32).CompareAndSwap, whose arguments are in RAX, EBX and ECX.
func swapCall(call x86, atomicstatus uint16) (Site, error) {
	s := Site{Kind: Swap, Address: call.address, Cost: call.cost(), Above: atomicstatus, Becomes: unknownStatus}
	return s, s.setRegisters(x86asm.RAX, x86asm.RBX, x86asm.RCX)
}

func (s *Site) setRegisters(g, old, next x86asm.Reg) error {
	for _, r := range []struct {
		number *uint8
		reg    x86asm.Reg
	}{{&s.G, g}, {&s.Old, old}, {&s.New, next}} {
		n, ok := kernelRegister(r.reg)
		if !ok {
			return fmt.Errorf("register %v is not one of the kernel's", r.reg)
		}
		*r.number = n
	}
	return nil
}

// mayHoldSwap spares decoding functions that hold no lock cmpxchg with the wanted 32-bit displacement.
func mayHoldSwap(code []byte, atomicstatus int64) bool {
	disp := []byte{byte(atomicstatus), byte(atomicstatus >> 8), 0, 0}
	for {
		i := bytes.Index(code, []byte{0x0f, 0xb1})
		if i < 0 {
			return false
		}
		code = code[i+2:]
		if len(code) > 5 && (bytes.Equal(code[1:5], disp) || bytes.Equal(code[2:6], disp)) {
			return true
		}
	}
}

// constantIn returns the status that a register holds at the last instruction of the code, if the code on every way there has just put
// it there, else unknownStatus.
func constantIn(code []x86, r x86asm.Reg, targets map[uint64]bool) uint8 {
	for i := len(code) - 1; i > 0; i-- {
		if targets[code[i].address] {
			break
		}
		in := code[i-1]
		if to, isReg := in.Args[0].(x86asm.Reg); isReg && in.Op == x86asm.MOV && sameRegister(to, r) {
			if n, ok := in.Args[1].(x86asm.Imm); ok && n >= 0 && n < unknownStatus {
				return uint8(n)
			}
		}
		if in.endsBlock() || in.overwrites(r) {
			break
		}
	}
	return unknownStatus
}

// zeroFlag is the bit of the flags register that a successful compare-and-swap sets.
const zeroFlag = 0x40

// behindSwap returns the site among the instructions that follow a compare-and-swap: the first conditional jump, which the
// kernel emulates, if g, both statuses and the swap's success are still in registers there (the new status may be known otherwise); else the very next instruction, where
// the flags still tell of the success.
func behindSwap(code []x86, g, next x86asm.Reg, becomes uint8) (Site, error) {
	if len(code) == 0 {
		return Site{}, errors.New("nothing follows the swap of the status")
	}
	s := Site{Kind: Swap, Address: code[0].address, Cost: code[0].cost(), Swapped: kernelFlags, SwappedMask: zeroFlag, Becomes: becomes}
	needed := []x86asm.Reg{g, x86asm.RAX}
	if becomes == unknownStatus {
		needed = append(needed, next)
	}
	if jump, swapped, ok := jumpBehindSwap(code, needed); ok {
		n, known := kernelRegister(swapped)
		if !known {
			return Site{}, fmt.Errorf("register %v is not one of the kernel's", swapped)
		}
		s.Address, s.Cost, s.Swapped, s.SwappedMask = jump.address, jump.cost(), n, 0xff
	}
	return s, s.setRegisters(g, x86asm.RAX, next)
}

// jumpBehindSwap returns the conditional jump close behind a compare-and-swap, and the register that SETE has put its success into,
// if no register of interest changes before it.
func jumpBehindSwap(code []x86, needed []x86asm.Reg) (jump x86, swapped x86asm.Reg, ok bool) {
	const window = 5
	for _, in := range code[:min(window, len(code))] {
		if in.isConditionalJump() {
			return in, swapped, swapped != 0
		}
		if in.endsBlock() || slices.ContainsFunc(needed, in.overwrites) || swapped != 0 && in.overwrites(swapped) {
			return in, 0, false
		}
		if in.Op == x86asm.SETE && swapped == 0 {
			swapped, _ = in.Args[0].(x86asm.Reg)
		}
	}
	return x86{}, 0, false
}
