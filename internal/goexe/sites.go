package goexe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// Cost tells what the kernel must do when a thread arrives at a probed instruction.
type Cost int

const (
	// Nop5 is a 5-byte nop: from Linux 6.18 on, amd64, a jump to the kernel with no trap.
	Nop5 Cost = iota
	// Emulated is an instruction that the kernel carries out itself after the trap.
	Emulated
	// SingleStepped is any other: two traps, which costs several times as much.
	SingleStepped
)

func (c Cost) String() string {
	return [...]string{"nop5", "emulated", "single-stepped"}[c]
}

// Kind tells what a probe at a site finds in the registers.
type Kind int

const (
	// Call is a place in runtime.casgstatus where its three arguments are still in their registers.
	Call Kind = iota
	// Swap is a place just behind a compare-and-swap of g.atomicstatus that bypasses casgstatus, or the call of a function that does
	// it.
	Swap
)

// Site is an instruction to probe.
type Site struct {
	Kind     Kind
	Function string
	// Address as linked, Offset in the file.
	Address, Offset uint64
	Cost            Cost
	// Syscall tells that the site sees goroutines enter or leave system calls.
	Syscall bool
	// For a Swap: numbers, in the kernel's register file, of the registers that hold the g, the old and the new status, and of one
	// whose bits in SwappedMask are 0 if the swap failed. SwappedMask is 0 where that is not known yet: the runtime tries again with
	// casgstatus if it failed, which tells the same once more.
	G, Old, New, Swapped uint8
	SwappedMask          uint8
	// Above is how many bytes above the g the register G points.
	Above uint16
	// Becomes is the new status if the code makes it a constant, else unknownStatus; then New holds it.
	Becomes uint8
}

// unknownStatus is no value of g.atomicstatus.
const unknownStatus = 0xff

type function struct {
	name  string
	entry uint64
	code  []byte
}

const casgstatus = "runtime.casgstatus"

// Functions whose compare-and-swap is no change of state: of the scan bit alone, or from preempted or leaked to waiting, which is the
// state of all three.
var noChange = map[string]bool{
	"runtime.castogscanstatus": true, "runtime.casfrom_Gscanstatus": true,
	"runtime.casGFromPreempted": true, "runtime.allGsSnapshotSortedForGC": true,
}

// Functions that swap the status at the ends of a system call (runtime/proc.go, Go 1.26 and later).
var syscallEnds = map[string]bool{
	"runtime.reentersyscall": true, "runtime.entersyscall": true, "runtime.exitsyscall": true, "runtime.cgocallbackg": true,
}

// findSites returns the sites at which, together, each change of a goroutine's state is seen. functions are those of package
// runtime; atomicstatus is the offset of g.atomicstatus, which the code itself must confirm; swap is the address of
// atomic.(*Uint32).CompareAndSwap, 0 if the compiler has inlined it everywhere.
func findSites(functions []function, atomicstatus int64, swap uint64) ([]Site, error) {
	var sites []Site
	seen := false
	for _, f := range functions {
		if noChange[f.name] || f.name == casgstatus && seen { // the ABI0 wrapper of the same name stands behind the function
			continue
		}
		if !mayHoldSwap(f.code, atomicstatus) && !mayCall(f, swap) {
			continue
		}
		code, err := decode(f)
		if err != nil {
			return nil, err
		}
		swaps, err := swapSites(f, code, atomicstatus, swap)
		if err != nil {
			return nil, err
		}
		if f.name == casgstatus && len(swaps) > 0 {
			swaps, seen = []Site{callSite(f, code)}, true
		}
		sites = append(sites, swaps...)
	}
	if !seen {
		return nil, fmt.Errorf("no %s that swaps a status at offset %#x, so the layout is not that of this binary", casgstatus, atomicstatus)
	}
	return sites, nil
}

type instruction struct {
	x86asm.Inst
	address uint64
	bytes   []byte
}

// decode decodes a whole function; what it cannot decode ends it.
func decode(f function) ([]instruction, error) {
	var list []instruction
	for at := 0; at < len(f.code); {
		in, err := x86asm.Decode(f.code[at:], 64)
		if err != nil || in.Len == 0 {
			return list, fmt.Errorf("%s+%#x: undecodable instruction", f.name, at)
		}
		list = append(list, instruction{Inst: in, address: f.entry + uint64(at), bytes: f.code[at : at+in.Len]})
		at += in.Len
	}
	return list, nil
}

// isStatusSwap tells whether an instruction is a 32-bit compare-and-swap at the given offset from a register.
func isStatusSwap(in instruction, atomicstatus int64) (x86asm.Mem, bool) {
	if in.Op != x86asm.CMPXCHG || in.bytes[0] != 0xf0 || in.MemBytes != 4 {
		return x86asm.Mem{}, false
	}
	m, ok := in.Args[0].(x86asm.Mem)
	return m, ok && m.Disp == atomicstatus && m.Index == 0 && m.Base != 0
}

// target returns the address that a jump goes to.
func (in instruction) target() (uint64, bool) {
	rel, ok := in.Args[0].(x86asm.Rel)
	return in.address + uint64(in.Len) + uint64(int64(rel)), ok
}

func (in instruction) isConditionalJump() bool {
	b := in.bytes
	return b[0]&0xf0 == 0x70 || len(b) > 1 && b[0] == 0x0f && b[1]&0xf0 == 0x80
}

// endsBlock tells whether the next instruction need not be the one that follows.
func (in instruction) endsBlock() bool {
	switch in.Op {
	case x86asm.JMP, x86asm.RET, x86asm.CALL, x86asm.UD2, x86asm.INT:
		return true
	}
	return in.isConditionalJump()
}

// cost classifies an instruction as the kernel does (arch/x86/kernel/uprobes.c: branch_setup_xol_ops, push_setup_xol_ops,
// can_optimize).
func (in instruction) cost() Cost {
	b := in.bytes
	switch {
	case bytes.Equal(b, []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}):
		return Nop5
	case len(b) == 1 && b[0] == 0x90:
		return Emulated
	case len(b) <= 2 && b[len(b)-1]&0xf8 == 0x50 && (len(b) == 1 || b[0]&0xf0 == 0x40):
		return Emulated // push of a 64-bit register
	case in.isConditionalJump(), b[0] == 0xeb, b[0] == 0xe9, b[0] == 0xe8:
		return Emulated
	}
	return SingleStepped
}

// targetsIn returns the addresses that the code itself jumps to.
func targetsIn(code []instruction) map[uint64]bool {
	targets := map[uint64]bool{}
	for _, in := range code {
		if to, ok := in.target(); ok {
			targets[to] = true
		}
	}
	return targets
}

// callSite returns the cheapest instruction of casgstatus that each call passes once, before any branch, with the arguments
// still in RAX, EBX and ECX.
func callSite(f function, code []instruction) Site {
	targets := targetsIn(code)
	best := Site{Kind: Call, Function: f.name, Cost: SingleStepped + 1}
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
	return best
}

// swapSites returns a site for each compare-and-swap of a g's status in a function.
func swapSites(f function, code []instruction, atomicstatus int64, swap uint64) ([]Site, error) {
	var sites []Site
	targets := targetsIn(code)
	for i, in := range code {
		var s Site
		var err error
		if m, ok := isStatusSwap(in, atomicstatus); ok {
			next := in.Args[1].(x86asm.Reg)
			s, err = behindSwap(code[i+1:], m.Base, next, constantIn(code[:i+1], next, targets))
		} else if swap != 0 && in.calls(swap) && passesStatus(code[:i], atomicstatus) {
			s, err = swapCall(in, uint16(atomicstatus))
		} else {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s+%#x: %w", f.name, in.address-f.entry, err)
		}
		s.Function = f.name
		s.Syscall = syscallEnds[f.name]
		sites = append(sites, s)
	}
	return sites, nil
}

func (in instruction) calls(function uint64) bool {
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
func passesStatus(before []instruction, atomicstatus int64) bool {
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
func swapCall(call instruction, atomicstatus uint16) (Site, error) {
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
func constantIn(code []instruction, r x86asm.Reg, targets map[uint64]bool) uint8 {
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
func behindSwap(code []instruction, g, next x86asm.Reg, becomes uint8) (Site, error) {
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
func jumpBehindSwap(code []instruction, needed []x86asm.Reg) (jump instruction, swapped x86asm.Reg, ok bool) {
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
	return instruction{}, 0, false
}
