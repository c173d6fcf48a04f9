package goexe

import (
	"errors"

	"golang.org/x/arch/arm64/arm64asm"
)

// addresses follows which registers hold the address of a variable, which takes two instructions: its page and its place there.
type addresses map[uint8]uint64

// pass takes in the next instruction, and returns the address that it has completed in a register.
func (known addresses) pass(in arm) (complete uint64, ok bool) {
	const page = 1 << 12
	to, isRegister := in.register(0)
	if !isRegister {
		return 0, false
	}
	if from, isPage := in.Args[1].(arm64asm.PCRel); isPage && in.Op == arm64asm.ADRP {
		known[to] = in.address&^(page-1) + uint64(from)
		return 0, false
	}
	if to, from, number, isSum := in.added(); isSum && known[from] != 0 {
		known[to] = known[from] + uint64(number)
		return known[to], true
	}
	if in.overwrites(to) {
		delete(known, to)
	}
	return 0, false
}

func (arm64) addresses(f function) (all []uint64) {
	known := addresses{}
	for _, in := range decodeARM(f) {
		if address, ok := known.pass(in); ok {
			all = append(all, address)
		}
	}
	return all
}

// The code of allgadd stores with release, first into allgptr, then into allglen.
func (arm64) findAllgs(f function) (length, pointer uint64, err error) {
	const mask, store = 0xfffffc00, 0xc89ffc00 // STLR of a 64-bit register
	known := addresses{}
	var stored []uint64
	for _, in := range decodeARM(f) {
		if in.Enc&mask == store {
			stored = append(stored, known[in.pointer()])
		}
		known.pass(in)
	}
	if len(stored) != 2 || stored[0] == 0 || stored[1] == 0 || stored[0] == stored[1] {
		return 0, 0, errors.New("the code of " + allgadd + " does not show where the list of goroutines is")
	}
	return stored[1], stored[0], nil
}

func (arm64) findWaitReasons(f function, im *image) ([]string, error) {
	known := addresses{}
	count, tried := 0, 0
	for _, in := range decodeARM(f) {
		if n := int(in.Enc >> 10 & 0xfff); in.Op == arm64asm.CMP && count == 0 && isImmediate(in.Args[1]) && n > 0 && n < maxWaitReasons {
			count = n
		}
		address, ok := known.pass(in)
		if !ok || count == 0 {
			continue
		}
		if tried++; tried > maxCandidates {
			break
		}
		// The constant text for an unknown reason has an address too, but is no array of strings.
		if reasons, err := readStrings(im, address, count); err == nil {
			return reasons, nil
		}
	}
	return nil, errors.New("the code of " + waitReasonString + " does not show where the reasons are")
}

func isImmediate(a arm64asm.Arg) bool {
	_, ok := a.(arm64asm.ImmShift)
	return ok
}
