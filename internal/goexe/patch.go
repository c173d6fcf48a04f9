package goexe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// Patch is an instruction that sees goroutines change their status, and that a jump can take the place of: it has at least as many bytes
// as a jump, so that no thread and no other jump can be in the middle of what is replaced, and it does the same wherever it stands.
type Patch struct {
	// Kind tells what it is: of a Call, an instruction of casgstatus's prologue, at which RAX, EBX and ECX (on arm64 R0, R1 and R2) hold
	// its arguments; of a Swap, the compare-and-swap itself, on arm64 the CSET behind it that makes a number of its success. At a Call, the
	// frame pointer is the caller's to Go 1.20 on amd64, later casgstatus's own.
	Kind     Kind
	Function string
	// Address as linked.
	Address uint64
	// Code is the instruction.
	Code []byte
	// G and New are the numbers that instructions use for the registers of a Swap: its memory operand's base and the new status. The old
	// one is in EAX, on arm64 in the register Old.
	G, New, Old uint8
	// Result is, on arm64, the register that a Swap makes 1 if it succeeded, else 0, and Above how many bytes above the g the register G
	// points.
	Result uint8
	Above  uint16
	// Free has a bit for each register, by its number, that holds nothing any more, on arm64 behind the instruction. On amd64 it is 0: of a
	// Call callPatch says which, of a Swap none is known.
	Free uint32
	// Becomes is the new status if the code makes it a constant, else 0xff.
	Becomes uint8
	// Syscall tells that it sees goroutines enter or leave system calls.
	Syscall bool
}

// maxPatches bounds what a file can make of itself. Programs have 12 at the most, with a profile that has the compiler inline casgstatus
// everywhere some 20.
const maxPatches = 64

var (
	errClosed     = errors.New("the executable file is closed, or was cut short")
	errSwapByCall = errors.New("the status is swapped by a call, as -gcflags=all=-l builds it: no instruction does it that can be replaced")
)

// Patches finds the instructions at which, together, each change of a goroutine's status is seen once, by their addresses: where Sites are
// behind such an instruction, these are the instructions themselves. The error says what the program has instead. On arm64, a swap may be
// there in two forms, of which each processor has one.
func (b *Binary) Patches() (patches []Patch, err error) {
	err = errClosed
	b.lookUp(func(*pclntab.Table) { patches, err = b.findPatches() })
	if err != nil {
		return nil, err
	}
	return patches, nil
}

func (b *Binary) findPatches() ([]Patch, error) {
	set := instructionSets[b.GOARCH]
	functions, swap, err := b.runtimeFunctions()
	if err != nil {
		return nil, err
	}
	what := swapped{atomicstatus: int64(b.Layout.G.AtomicStatus), function: swap}
	changers, err := changersAmong(set, functions, what)
	if err != nil {
		return nil, err
	}
	var patches []Patch
	for _, f := range changers {
		found, err := set.patches(f, what)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		patches = append(patches, found...)
	}
	return patches, b.check(patches)
}

// check sorts patches and refuses what no linker makes: code that overlaps, or is not to be executed.
func (b *Binary) check(patches []Patch) error {
	if len(patches) > maxPatches {
		return fmt.Errorf("%d instructions change a status: more than any runtime has", len(patches))
	}
	slices.SortFunc(patches, func(a, b Patch) int { return cmp.Compare(a.Address, b.Address) })
	end := uint64(0)
	for _, p := range patches {
		if p.Address < end {
			return fmt.Errorf("%s: its code is another function's too", p.Function)
		}
		end = p.Address + uint64(len(p.Code))
		if _, err := b.image.offset(p.Address); err != nil {
			return fmt.Errorf("%s: %w", p.Function, err)
		}
	}
	return nil
}
