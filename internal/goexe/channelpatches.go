package goexe

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/arch/x86/x86asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// Functions that put items into channels and take them out (runtime/chan.go, runtime/select.go).
const (
	chansend = "runtime.chansend"
	chanrecv = "runtime.chanrecv"
	selectgo = "runtime.selectgo"
	recv     = "runtime.recv" // takes what another goroutine waits to send
)

// channelKinds are the kinds of patches that each of them must have, once each. The linker leaves out what a program does not use.
var channelKinds = map[string][]Kind{chansend: {Sent}, chanrecv: {Received}, selectgo: {Sent, Received}, recv: {Taken}}

// unlockers are the functions that unlock channels, with the registers of their arguments, in which selunlock finds two slices (Go 1.17 to 1.27).
var unlockers = map[string][]x86asm.Reg{
	"runtime.unlock": {x86asm.RAX}, "runtime.unlock2": {x86asm.RAX},
	"runtime.selunlock": {x86asm.RAX, x86asm.RBX, x86asm.RCX, x86asm.RDI, x86asm.RSI, x86asm.R8},
}

// ChannelPatches finds the instructions at which, together, each item is seen that is put into a channel's buffer or taken out of it. They are
// executed with the channel's lock held. The error says what the program has instead; only amd64 has them.
func (b *Binary) ChannelPatches() (patches []Patch, err error) {
	if b.GOARCH != "amd64" {
		return nil, errors.ErrUnsupported
	}
	err = errClosed
	b.lookUp(func(*pclntab.Table) { patches, err = b.findChannelPatches() })
	if err != nil {
		return nil, err
	}
	return patches, nil
}

func (b *Binary) findChannelPatches() (patches []Patch, err error) {
	functions, _, err := b.runtimeFunctions()
	if err != nil {
		return nil, err
	}
	if err := b.checkInlined(); err != nil {
		return nil, err
	}
	unlocks := argumentsOf(functions, unlockers)
	found := map[string]bool{} // ABI0 wrappers have the same names
	for _, f := range functions {
		kinds := channelKinds[f.name]
		if kinds == nil || found[f.name] {
			continue
		}
		found[f.name] = true
		of, err := channelPatchesOf(f, kinds, unlocks)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		patches = append(patches, of...)
	}
	return patches, b.check(patches)
}

// checkInlined refuses programs of which a profile has made the compiler copy one of the functions into others: what is put or taken there would
// not be seen.
func (b *Binary) checkInlined() error {
	into, err := b.symbols.FindInlined(func(name []byte) bool { return channelKinds[string(name)] != nil })
	if err == nil && into != "" {
		err = fmt.Errorf("what puts items into channels or takes them out is inlined into %s", into)
	}
	return err
}

// argumentsOf returns the registers of the arguments of functions, by their addresses.
func argumentsOf(functions []function, named map[string][]x86asm.Reg) map[uint64][]x86asm.Reg {
	arguments := map[uint64][]x86asm.Reg{}
	for _, f := range functions {
		if r := named[f.name]; r != nil {
			arguments[f.entry] = r
		}
	}
	return arguments
}

// channelPatchesOf returns the patches of a function, of each kind one; unlocks are the functions that unlock channels.
func channelPatchesOf(f function, kinds []Kind, unlocks map[uint64][]x86asm.Reg) (patches []Patch, err error) {
	if len(f.code) > maxFunction {
		return nil, fmt.Errorf("%d bytes of code", len(f.code))
	}
	code, err := decodeX86(f)
	if err != nil {
		return nil, err
	}
	targets := targetsIn(code)
	if f.name == recv {
		p, err := takenPatch(code, targets)
		return []Patch{p}, err
	}
	count := map[Kind]int{}
	for i, in := range code {
		kind, channel, ok := in.countsItem()
		if !ok {
			continue
		}
		p, err := itemPatch(code[i+1:], channel, targets, unlocks)
		if err != nil {
			return nil, fmt.Errorf("+%#x: %w", in.address-f.entry, err)
		}
		p.Kind, p.Function = kind, f.name
		patches = append(patches, p)
		count[kind]++
	}
	for _, k := range kinds {
		if count[k] != 1 || len(count) != len(kinds) {
			return nil, fmt.Errorf("it counts items in %d places", len(patches))
		}
	}
	return patches, nil
}

// countsItem tells whether an instruction changes by one how many items there are in the buffer of a channel: hchan.qcount, the first field.
func (in x86) countsItem() (kind Kind, channel x86asm.Reg, ok bool) {
	m, isMem := in.Args[0].(x86asm.Mem)
	if !isMem || m.Disp != 0 || m.Index != 0 || m.Segment != 0 || in.MemBytes != 8 {
		return 0, 0, false
	}
	switch in.Op {
	case x86asm.INC:
		return Sent, m.Base, true
	case x86asm.DEC:
		return Received, m.Base, true
	}
	return 0, 0, false
}

// itemPatch returns the first instruction behind the one that counts an item, of those that load the arguments of the function that unlocks the
// channel: all of them, so that all registers are dead there but RSP, RBP and R14, and the flags are. The one that points at the channel still does.
func itemPatch(code []x86, channel x86asm.Reg, targets map[uint64]bool, unlocks map[uint64][]x86asm.Reg) (Patch, error) {
	first := 0
	for first < len(code) && code[first].isPadding() && !targets[code[first].address] {
		first++
	}
	number, is := ordinary(channel)
	if whole(channel) == x86asm.RAX {
		number, is = 0, true
	}
	if !is || first == len(code) || !code[first].loadsLocal() || len(code[first].bytes) < jumpSize {
		return Patch{}, errors.New("what follows is not the load of an argument by an instruction of 5 bytes")
	}
	loaded := map[x86asm.Reg]bool{}
	for _, in := range code[first:] {
		to, _ := in.Args[0].(x86asm.Reg)
		from, copies := in.Args[1].(x86asm.Reg)
		switch {
		case targets[in.address] || isEntered(in, targets):
			return Patch{}, errors.New("a jump leads between the count of an item and the unlocking")
		case in.Op == x86asm.CALL:
			callee, _ := in.target()
			arguments := unlocks[callee]
			if arguments == nil || slices.ContainsFunc(arguments, func(r x86asm.Reg) bool { return !loaded[r] }) {
				return Patch{}, errors.New("what is called is not passed just what was loaded, or does not unlock the channel")
			}
			at := code[first]
			return Patch{Address: at.address, Code: bytes.Clone(at.bytes), G: number, Becomes: unknownStatus}, nil
		case in.isPadding():
		case in.loadsLocal(), in.Op == x86asm.MOV && copies && isWhole(to) && loaded[from]:
			loaded[whole(to)] = true
		default:
			return Patch{}, fmt.Errorf("%v is between the count of an item and the unlocking", in.Inst)
		}
	}
	return Patch{}, errors.New("no call follows the count of an item")
}

// loadsLocal tells the load of a whole register from the stack frame, which does the same at any address.
func (in x86) loadsLocal() bool {
	to, ok := in.Args[0].(x86asm.Reg)
	return in.Op == x86asm.MOV && ok && isWhole(to) && isFrame(in.Args[1])
}

// isWhole tells registers of 64 bits that are the compiler's for values.
func isWhole(r x86asm.Reg) bool {
	_, is := ordinary(r)
	return r == x86asm.RAX || is && whole(r) == r
}

// isPadding tells an instruction that does nothing.
func (in x86) isPadding() bool {
	return in.Op == x86asm.NOP || in.isNop() || in.Op == x86asm.XCHG && in.Args[0] == in.Args[1]
}

// takenPatch returns the first instruction of recv, behind the check of the stack's size, that stores an argument on the stack. RAX points at the
// channel, RBX at the sudog of the goroutine that waits; RCX, RDI and RSI are alive too. What else there is before it, such as a check of
// synctest's, leaves these as they are, and nothing in other registers that is needed still: who jumps over that gets to the same place.
func takenPatch(code []x86, targets map[uint64]bool) (Patch, error) {
	const check = 2
	if len(code) <= check || code[0].Op != x86asm.CMP || code[1].Op != x86asm.JBE {
		return Patch{}, errors.New("it does not begin with a check of the stack's size")
	}
	clean, over := true, map[uint64]bool{}
	for i, in := range code[check:] {
		to, jumps := in.target()
		switch {
		case in.isSpill(recvArguments) && len(in.bytes) >= jumpSize && !isEntered(in, targets) && (clean || over[in.address]) && flagsDead(code[check+i+1:]):
			return Patch{Kind: Taken, Function: recv, Address: in.address, Code: bytes.Clone(in.bytes), Becomes: unknownStatus}, nil
		case in.isConditionalJump() && jumps && to > in.address:
			over[to] = clean
		case in.endsBlock() || slices.ContainsFunc(recvArguments[:5], in.overwrites):
			return Patch{}, errors.New("it changes its arguments before it stores one by an instruction of 5 bytes")
		case !in.isPrologue(recvArguments) && !readOnly[in.Op]:
			clean = false
		}
	}
	return Patch{}, errors.New("it stores no argument by an instruction of 5 bytes")
}

// flagsDead tells that the flags are no longer needed before some code: it goes to what sets them all, or calls, and does not read them before.
func flagsDead(code []x86) bool {
	for _, in := range code {
		switch in.Op {
		case x86asm.CMP, x86asm.TEST, x86asm.ADD, x86asm.SUB, x86asm.AND, x86asm.OR, x86asm.XOR, x86asm.CALL:
			return true
		case x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA, x86asm.MOVUPS, x86asm.NOP:
		default:
			return false
		}
	}
	return false
}

// recvArguments are the registers that hold arguments of recv, and the caller's frame pointer.
var recvArguments = []x86asm.Reg{x86asm.RAX, x86asm.RBX, x86asm.RCX, x86asm.RDI, x86asm.RSI, x86asm.RBP}
