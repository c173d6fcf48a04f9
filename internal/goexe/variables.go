package goexe

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// Functions whose code tells, in a binary without symbols, where variables of package runtime are.
const (
	allgadd          = "runtime.allgadd"           // sets allgptr and allglen (runtime/proc.go)
	waitReasonString = "runtime.waitReason.String" // indexes waitReasonStrings (runtime/runtime2.go)
)

// relative returns the address of the memory operand of an instruction that is addressed relative to it.
func (in instruction) relative(argument int) (uint64, bool) {
	m, ok := in.Args[argument].(x86asm.Mem)
	return in.address + uint64(in.Len) + uint64(m.Disp), ok && m.Base == x86asm.RIP && m.Index == 0
}

// loaded returns the address that an instruction loads into a register.
func (in instruction) loaded() (x86asm.Reg, uint64, bool) {
	if in.Op != x86asm.LEA {
		return 0, 0, false
	}
	to, isReg := in.Args[0].(x86asm.Reg)
	address, ok := in.relative(1)
	return to, address, ok && isReg
}

// findAllgs returns the addresses of runtime.allglen and runtime.allgptr, as the code of runtime.allgadd shows them: it compares a
// register with allgptr, and stores into allglen with an exchange, after everything else.
func findAllgs(f function) (length, pointer uint64, err error) {
	code, err := decode(f)
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

// findWaitReasons reads runtime.waitReasonStrings, which the code of waitReason.String names, with the number of its elements.
func findWaitReasons(f function, im *image) ([]string, error) {
	code, err := decode(f)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, in := range code {
		if n, ok := in.Args[1].(x86asm.Imm); ok && in.Op == x86asm.CMP && n > 0 && n < maxWaitReasons && count == 0 {
			count = int(n)
		}
		_, address, ok := in.loaded()
		if !ok || count == 0 {
			continue
		}
		// The constant text for an unknown reason is loaded too, but is no array of strings.
		if reasons, err := readStrings(im, address, count); err == nil {
			return reasons, nil
		}
	}
	return nil, errors.New("the code of " + waitReasonString + " does not show where the reasons are")
}

const (
	maxWaitReasons   = 256 // what fits into the one byte of g.waitreason
	maxReasonLength  = 100
	stringHeaderSize = 16 // a pointer and a length
)

// readStrings reads an array of Go strings, the first of which is empty (runtime.waitReasonZero).
func readStrings(im *image, address uint64, count int) ([]string, error) {
	headers := im.relocated(address, stringHeaderSize*count)
	if headers == nil {
		return nil, fmt.Errorf("no %d strings at %#x", count, address)
	}
	texts := make([]string, count)
	for i := range texts {
		h := headers[stringHeaderSize*i:]
		pointer, length := binary.LittleEndian.Uint64(h), binary.LittleEndian.Uint64(h[8:])
		if length == 0 != (i == 0) || length > maxReasonLength {
			return nil, fmt.Errorf("string %d at %#x has %d bytes", i, address, length)
		}
		text := im.between(pointer, pointer+length)
		if text == nil && length > 0 {
			return nil, fmt.Errorf("string %d at %#x points outside the file", i, address)
		}
		texts[i] = string(text)
	}
	return texts, nil
}
