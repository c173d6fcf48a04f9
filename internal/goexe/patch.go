package goexe

import (
	"errors"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// Patch is an instruction that sees goroutines change their status, and that a jump can take the place of: it has at least as many bytes as a
// jump, so that no thread and no other jump can be in the middle of what is replaced.
type Patch struct {
	// Kind tells what it is: of a Call, any instruction in casgstatus where RAX, EBX and ECX still hold the arguments and all that its prologue
	// does not need is dead; of a Swap, the compare-and-swap itself.
	Kind     Kind
	Function string
	// Address as linked.
	Address uint64
	// Code is the instruction.
	Code []byte
	// G and New are the numbers that instructions use for the registers of a Swap: its memory operand's base and the new status.
	G, New uint8
	// Becomes is the new status if the code makes it a constant, else 0xff.
	Becomes uint8
	// Syscall tells that it sees goroutines enter or leave system calls.
	Syscall bool
}

// Patches finds the instructions at which, together, each change of a goroutine's state is seen once. Only amd64 is supported.
func (b *Binary) Patches() ([]Patch, error) {
	if b.GOARCH != "amd64" {
		return nil, fmt.Errorf("no patches are known for %s", b.GOARCH)
	}
	functions, swap, err := b.runtimeFunctions()
	if err != nil {
		return nil, err
	}
	var patches []Patch
	status := int64(b.Layout.G.AtomicStatus)
	seen := false
	for _, f := range functions {
		if noChange[f.name] || f.name == casgstatus && seen || !(amd64{}).mayHold(f, swapped{status, swap}) && f.name != casgstatus {
			continue
		}
		of, err := patchesIn(f, status, swap)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		seen = seen || f.name == casgstatus
		patches = append(patches, of...)
	}
	if !seen {
		return nil, errors.New("there is no runtime.casgstatus")
	}
	return patches, nil
}

func patchesIn(f function, status int64, swap uint64) ([]Patch, error) {
	code, err := decodeX86(f)
	if err != nil {
		return nil, err
	}
	targets := targetsIn(code)
	if f.name == casgstatus {
		p, err := callPatch(code, targets)
		p.Function = f.name
		return []Patch{p}, err
	}
	var patches []Patch
	for i, in := range code {
		if swap != 0 && in.calls(swap) && passesStatus(code[:i], status) {
			return nil, errors.New("the status is swapped by a call, as -gcflags=-l builds it")
		}
		m, ok := isStatusSwap(in, status)
		if !ok {
			continue
		}
		next := in.Args[1].(x86asm.Reg)
		p := Patch{
			Kind: Swap, Function: f.name, Address: in.address, Code: in.bytes, G: uint8(whole(m.Base) - x86asm.RAX), New: uint8(whole(next) - x86asm.RAX),
			Becomes: constantIn(code[:i+1], next, targets), Syscall: syscallEnds[f.name],
		}
		patches = append(patches, p)
	}
	return patches, nil
}

const jumpSize = 5

// callPatch returns the first instruction that is long enough, that each call passes once, before any branch, that does the same elsewhere,
// and at which the arguments are intact.
func callPatch(code []x86, targets map[uint64]bool) (Patch, error) {
	for i, in := range code {
		if i > 0 && targets[in.address] || in.endsBlock() {
			break
		}
		if len(in.bytes) >= jumpSize && !in.dependsOnPlace() && (in.Op == x86asm.MOV || in.Op == x86asm.LEA) {
			return Patch{Kind: Call, Address: in.address, Code: in.bytes, Becomes: unknownStatus}, nil
		}
		if in.overwrites(x86asm.RAX) || in.overwrites(x86asm.RBX) || in.overwrites(x86asm.RCX) {
			break
		}
	}
	return Patch{}, errors.New("no single instruction of 5 bytes before a branch")
}

// dependsOnPlace tells whether an instruction does something else at another address.
func (in x86) dependsOnPlace() bool {
	for _, a := range in.Args {
		if m, ok := a.(x86asm.Mem); ok && (m.Base == x86asm.RIP || m.Segment != 0) {
			return true
		}
	}
	return in.PCRel != 0
}
