package goexe

import (
	"errors"

	"golang.org/x/arch/x86/x86asm"
)

// relative returns the address of the memory operand of an instruction that is addressed relative to it.
func (in x86) relative(argument int) (uint64, bool) {
	m, ok := in.Args[argument].(x86asm.Mem)
	return in.address + uint64(in.Len) + uint64(m.Disp), ok && m.Base == x86asm.RIP && m.Index == 0
}

// loaded returns the address that an instruction loads into a register.
func (in x86) loaded() (x86asm.Reg, uint64, bool) {
	if in.Op != x86asm.LEA {
		return 0, 0, false
	}
	to, isReg := in.Args[0].(x86asm.Reg)
	address, ok := in.relative(1)
	return to, address, ok && isReg
}

func (amd64) addresses(f function) (all []uint64) {
	code, err := decodeX86(f)
	if err != nil {
		return nil
	}
	for _, in := range code {
		if _, address, ok := in.loaded(); ok {
			all = append(all, address)
		}
	}
	return all
}

func (amd64) findAllgs(f function) (length, pointer uint64, err error) {
	code, err := decodeX86(f)
	if err != nil {
		return 0, 0, err
	}
	holds := map[x86asm.Reg]uint64{}
	for _, in := range code {
		if to, address, ok := in.loaded(); ok {
			holds[to] = address
		}
		switch in.Op {
		case x86asm.CMP:
			if _, isReg := in.Args[1].(x86asm.Reg); isReg && in.MemBytes == 8 {
				if address, ok := in.relative(0); ok {
					pointer = address
				}
			}
		case x86asm.XCHG:
			for _, a := range in.Args[:2] {
				if m, ok := a.(x86asm.Mem); ok && m.Disp == 0 && m.Index == 0 && holds[m.Base] != 0 {
					length = holds[m.Base]
				}
			}
		}
	}
	if length == 0 || pointer == 0 || length == pointer {
		return 0, 0, errors.New("the code of " + allgadd + " does not show where the list of goroutines is")
	}
	return length, pointer, nil
}

func (amd64) findWaitReasons(f function, im *image) ([]string, error) {
	code, err := decodeX86(f)
	if err != nil {
		return nil, err
	}
	count, tried := 0, 0
	for _, in := range code {
		if n, ok := in.Args[1].(x86asm.Imm); ok && in.Op == x86asm.CMP && n > 0 && n < maxWaitReasons && count == 0 {
			count = int(n)
		}
		_, address, ok := in.loaded()
		if !ok || count == 0 {
			continue
		}
		if tried++; tried > maxCandidates {
			break
		}
		// The constant text for an unknown reason is loaded too, but is no array of strings.
		if reasons, err := readStrings(im, address, count); err == nil {
			return reasons, nil
		}
	}
	return nil, errors.New("the code of " + waitReasonString + " does not show where the reasons are")
}
