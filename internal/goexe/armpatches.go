package goexe

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/arch/arm64/arm64asm"
)

// Encodings of what belongs to a compare-and-swap: the shift of a CMP's first register, in bits, and a CSET of EQ.
const (
	armCompared = 5
	armCsetMask = 0xffffffe0
	armCset     = 0x9a9f17e0
)

// On arm64, all instructions have the length of a jump (`b`, within 128 MiB). Which one it takes the place of:
//   - in casgstatus, the first store of an argument into the frame: only the prologue precedes it;
//   - of a swap by `casal`, the `cset` two instructions behind: it is not relative to its place, and what was compared and swapped is still in
//     its registers;
//   - of a swap by `ldaxr` and `stlxr`, the `cset` behind their loop: within it, what a trampoline writes would end the exclusive access, and
//     the swap might never succeed;
//   - of both, where the program chooses by the processor, both: a thread passes one (LoweredAtomicCas32 and LoweredAtomicCas32Variant in
//     cmd/compile/internal/arm64/ssa.go, Go 1.18 to 1.27);
//   - of a swap by a call, none: it is refused.
func (arm64) patches(f function, what swapped) (patches []Patch, err error) {
	code := decodeARM(f)
	if f.name == casgstatus {
		p, err := armCallPatch(code)
		return []Patch{p}, err
	}
	known, err := pointersIn(code, what.atomicstatus)
	if err != nil {
		return nil, err
	}
	live, err := liveBehind(code)
	if err != nil {
		return nil, err
	}
	for i, in := range code {
		isCall := what.function != 0 && armCalls(in.Enc, in.address) == what.function
		switch status := known[i][int(in.pointer())]; {
		case isCall && known[i][0] != 0:
			return nil, errSwapByCall
		case !in.isSwap() || status == 0:
			continue
		case status == perhaps:
			return nil, fmt.Errorf("+%#x: it is not clear what is swapped", in.address-f.entry)
		}
		p, err := armSwapPatch(code, i)
		if err != nil {
			return nil, fmt.Errorf("+%#x: %w", in.address-f.entry, err)
		}
		p.Function, p.Syscall, p.Above = f.name, syscallEnds[f.name], uint16(what.atomicstatus)
		p.Free = armVariables &^ uint32(live[(p.Address-f.entry)/armSize]) &^ (1<<p.G | 1<<p.Old | 1<<p.New | 1<<p.Result)
		patches = append(patches, p)
	}
	return patches, nil
}

// armCallPatch returns the first instruction of casgstatus that stores one of its arguments, in R0, R1 and R2, into the stack frame. Each
// call passes it once, as nothing jumps to it or to what precedes it.
func armCallPatch(code []arm) (Patch, error) {
	targets := armTargets(code)
	for _, in := range code {
		if in.Op == 0 || targets[in.address] > 0 || in.endsBlock() || in.overwrites(0) || in.overwrites(1) || in.overwrites(2) {
			break
		}
		if access, ok := in.frameAccess(); ok && in.Op == arm64asm.STR && !in.overwrites(armStackPointer) && access.registers[0] <= 2 {
			return Patch{Kind: Call, Function: casgstatus, Address: in.address, Code: in.bytes(), Becomes: unknownStatus, Free: armFreeInCalls}, nil
		}
	}
	return Patch{}, errors.New("its prologue stores no argument")
}

// armTargets returns how many jumps of the code lead to which addresses.
func armTargets(code []arm) map[uint64]int {
	targets := map[uint64]int{}
	for _, in := range code {
		if to, ok := in.target(); ok {
			targets[to]++
		}
	}
	return targets
}

// armSwapPatch returns the instruction behind a compare-and-swap that makes a number of its success.
func armSwapPatch(code []arm, i int) (Patch, error) {
	swap := code[i]
	compare, compared, jumps := i+1, uint8(swap.Enc>>16&31), 0
	if swap.Enc&armSwapMask == armExclusiveStore {
		// ldaxr; cmp; b.ne to the cset; stlxr; cbnz to the ldaxr; cset
		compare, jumps = i-2, 1
		if i < 3 || i+1 >= len(code) || !isExclusiveLoop(code[i-3:i+2]) {
			return Patch{}, errors.New("the loop that swaps the status has an unknown form")
		}
		compared = uint8(code[i-3].Enc & 31)
	}
	if i+2 >= len(code) || code[compare].Enc&armCompareMask != armCompare || uint8(code[compare].Enc>>armCompared&31) != compared {
		return Patch{}, errors.New("no comparison belongs to the swap of the status")
	}
	set := code[i+2]
	p := Patch{
		Kind: Swap, Address: set.address, Code: set.bytes(), Becomes: unknownStatus,
		G: swap.pointer(), Old: uint8(code[compare].Enc >> 16 & 31), New: uint8(swap.Enc & 31), Result: uint8(set.Enc & 31),
	}
	switch {
	case set.Enc&armCsetMask != armCset || armTargets(code)[set.address] != jumps:
		return Patch{}, errors.New("no number is made of the success of the swap of the status")
	case !areVariables(p.G, p.Old, p.New, p.Result):
		return Patch{}, errors.New("the status is swapped in an unknown way")
	}
	return p, nil
}

// isExclusiveLoop tells the loop that swaps by exclusive access: ldaxr; cmp; b.ne behind the cbnz; stlxr; cbnz to the ldaxr.
func isExclusiveLoop(code []arm) bool {
	load, skip, store, again := code[0], code[2], code[3], code[4]
	to, isSkip := skip.target()
	back, isAgain := again.target()
	tested, _ := again.register(0)
	return load.Op == arm64asm.LDAXR && load.pointer() == store.pointer() &&
		isSkip && !skip.isPlainJump() && skip.Op == arm64asm.B && to == again.address+armSize &&
		isAgain && again.Op == arm64asm.CBNZ && back == load.address && tested == uint8(store.Enc>>16&31)
}

// areVariables tells whether all registers are different ones that the compiler gives to variables.
func areVariables(registers ...uint8) bool {
	seen := uint32(0)
	for _, r := range registers {
		if armVariables>>r&1 == 0 || seen>>r&1 == 1 {
			return false
		}
		seen |= 1 << r
	}
	return true
}

// bytes returns the instruction as it is in memory.
func (in arm) bytes() []byte { return binary.LittleEndian.AppendUint32(nil, in.Enc) }
