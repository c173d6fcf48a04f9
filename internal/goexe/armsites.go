package goexe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/arch/arm64/arm64asm"
)

// arm64 reads the code of 64-bit ARM.
type arm64 struct{}

// Encodings of the two 32-bit compare-and-swaps that Go's compiler emits side by side, to choose by the processor
// (cmd/compile/internal/arm64/ssa.go): that of ARMv8.1, which arm64asm does not know, and the exclusive store that ends the older loop.
const (
	armSwapMask       = 0xffe0fc00
	armCASAL          = 0x88e0fc00
	armExclusiveStore = 0x8800fc00

	// CMP of two 32-bit registers.
	armCompareMask = 0xffe0fc1f
	armCompare     = 0x6b00001f
)

// isSwap tells a 32-bit compare-and-swap of ARMv8.1 and the exclusive store of an older one.
func (in arm) isSwap() bool {
	return in.Enc&armSwapMask == armCASAL || in.Enc&armSwapMask == armExclusiveStore
}

func (arm64) mayHold(f function, what swapped) bool {
	const mask, add = 0xfffffc00, 0x91000000
	pointed, swap := false, false
	for at := 0; at+armSize <= len(f.code); at += armSize {
		enc := binary.LittleEndian.Uint32(f.code[at:])
		pointed = pointed || enc&mask == add|uint32(what.atomicstatus)<<10
		swap = swap || (arm{Inst: arm64asm.Inst{Enc: enc}}).isSwap() || what.function != 0 && armCalls(enc, f.entry+uint64(at)) == what.function
	}
	return pointed && swap
}

// armCalls returns the address that an instruction calls, 0 if it is no call.
func armCalls(enc uint32, address uint64) uint64 {
	const mask, call = 0xfc000000, 0x94000000
	if enc&mask != call {
		return 0
	}
	return address + uint64(int64(int32(enc<<6)>>6)*armSize)
}

// The arguments of casgstatus are in R0, R1 and R2.
func (arm64) callSite(f function) (Site, error) {
	code := decodeARM(f)
	targets := map[uint64]bool{}
	for _, in := range code {
		if to, ok := in.target(); ok {
			targets[to] = true
		}
	}
	best := Site{Kind: Call, Cost: SingleStepped + 1}
	for i, in := range code {
		if in.Op == 0 || i > 0 && targets[in.address] {
			break
		}
		if c := in.cost(); c < best.Cost {
			best.Address, best.Cost = in.address, c
		}
		if in.endsBlock() || in.overwrites(0) || in.overwrites(1) || in.overwrites(2) {
			break
		}
	}
	if best.Address == 0 {
		return Site{}, fmt.Errorf("%s: no instruction is understood", f.name)
	}
	return best, nil
}

func (arm64) swapSites(f function, what swapped) ([]Site, error) {
	code := decodeARM(f)
	known, err := pointersIn(code, what.atomicstatus)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	found := map[uint64]Site{}
	var sites []Site
	for i, in := range code {
		isCall := what.function != 0 && armCalls(in.Enc, in.address) == what.function
		var pointer uint8 // R0 is the first argument
		switch {
		case in.isSwap():
			pointer = in.pointer()
		case !isCall:
			continue
		}
		switch known[i][int(pointer)] {
		case surely:
		case perhaps:
			return nil, fmt.Errorf("%s+%#x: it is not clear what is swapped", f.name, in.address-f.entry)
		default:
			continue
		}
		s, err := Site{Address: in.address, G: 0, Old: 1, New: 2}, error(nil)
		if !isCall {
			s, err = behindARMSwap(code, i)
		}
		if err != nil {
			return nil, fmt.Errorf("%s+%#x: %w", f.name, in.address-f.entry, err)
		}
		s.Kind, s.Cost, s.Above, s.Becomes = Swap, Emulated, uint16(what.atomicstatus), unknownStatus
		// The two kinds of compare-and-swap meet again.
		if twin, ok := found[s.Address]; ok {
			if twin != s {
				return nil, fmt.Errorf("%s+%#x: two swaps of a status leave it in different registers", f.name, in.address-f.entry)
			}
			continue
		}
		found[s.Address] = s
		sites = append(sites, s)
	}
	return sites, nil
}

// behindARMSwap returns the site behind a compare-and-swap: the jump on its success, where both kinds meet again and the registers that
// it used still hold what they did.
func behindARMSwap(code []arm, i int) (Site, error) {
	swap := code[i]
	s := Site{G: swap.pointer()}
	compare := i + 1
	s.New = uint8(swap.Enc & 31)
	if swap.Enc&armSwapMask == armExclusiveStore {
		compare = i - 2
	}
	if compare < 0 || compare >= len(code) || code[compare].Enc&armCompareMask != armCompare {
		return Site{}, errors.New("no comparison of registers belongs to the swap of the status")
	}
	s.Old = uint8(code[compare].Enc >> 16 & 31)
	jump, result, ok := jumpBehindARMSwap(code, i+1, []uint8{s.G, s.Old, s.New})
	if !ok {
		return Site{}, errors.New("no jump on its success follows the swap of the status")
	}
	s.Address, s.Swapped, s.SwappedMask = jump.address, result, 0xff
	return s, nil
}

// jumpBehindARMSwap follows the code behind a compare-and-swap to the jump on the register that CSET has put its success into.
func jumpBehindARMSwap(code []arm, i int, needed []uint8) (jump arm, result uint8, ok bool) {
	const window = 10
	known := false
	for range window {
		if i < 0 || i >= len(code) {
			break
		}
		in := code[i]
		tested, isRegister := in.register(0)
		switch {
		case in.isPlainJump():
			to, _ := in.target()
			i = int(to-code[0].address) / armSize
			continue
		case known && in.isJump():
			return in, result, isRegister && tested == result
		case in.isJump() && !(in.Op == arm64asm.CBNZ && !known): // but the end of the loop of exclusive instructions
			return arm{}, 0, false
		case slices.ContainsFunc(needed, in.overwrites):
			return arm{}, 0, false
		case in.Op == arm64asm.CSET && !known:
			result, known = tested, true
		case in.Op == arm64asm.MOV && known:
			if from, ok := in.register(1); ok && from == result {
				result = tested
			}
		case known && in.overwrites(result):
			return arm{}, 0, false
		}
		i++
	}
	return arm{}, 0, false
}
