package goexe

import "fmt"

// Cost tells what the kernel must do when a thread arrives at a probed instruction.
type Cost int

const (
	// Nop5 is a 5-byte nop: from Linux 6.18 on, amd64, a jump to the kernel with no trap.
	Nop5 Cost = iota
	// Emulated is an instruction that the kernel carries out itself after the trap.
	Emulated
	// EmulatedPush is one that stores a register on the stack: the kernel carries it out too, but its checks of the memory take a tenth longer.
	EmulatedPush
	// SingleStepped is any other: two traps, which costs several times as much.
	SingleStepped
)

func (c Cost) String() string {
	return [...]string{"nop5", "emulated", "emulated push", "single-stepped"}[c]
}

// Kind tells what a probe at a site finds in the registers.
type Kind int

const (
	// Call is a place in runtime.casgstatus where its three arguments are still in their registers.
	Call Kind = iota
	// Swap is a place just behind a compare-and-swap of g.atomicstatus that bypasses casgstatus, or the call of a function that does
	// it.
	Swap
	// Sent and Received are places, only of patches, where an item has just been put into the buffer of the channel at which the register G
	// points, or taken out of it; Taken is one where an item is to be taken that a goroutine waits to send.
	Sent
	Received
	Taken
)

func (k Kind) String() string {
	return [...]string{"call", "swap", "sent", "received", "taken"}[k]
}

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

// Limits against what a file claims to be code, in bytes. Of all that was ever built, the largest function that swaps a status has 6 KB, and
// all together have 30 KB.
const (
	maxFunction = 64 << 10
	maxCode     = 1 << 20
)

// swapped says what code must do to change the status of a goroutine.
type swapped struct {
	// atomicstatus is the offset of g.atomicstatus.
	atomicstatus int64
	// function is the address of atomic.(*Uint32).CompareAndSwap, 0 if the compiler has inlined it everywhere.
	function uint64
}

// instructionSet reads the code of one architecture.
type instructionSet interface {
	// mayHold spares decoding functions in which no status is swapped.
	mayHold(f function, what swapped) bool
	// swapSites returns a site for each compare-and-swap of a g's status in a function.
	swapSites(f function, what swapped) ([]Site, error)
	// callSite returns the cheapest instruction of casgstatus that each call passes once, before any branch, with the arguments still in
	// their registers.
	callSite(f function) (Site, error)
	// patches returns the instructions of a function that a jump can take the place of: of casgstatus one that each call passes, of others
	// one for each compare-and-swap of a g's status.
	patches(f function, what swapped) ([]Patch, error)
	// findAllgs returns the addresses of runtime.allglen and runtime.allgptr, as the code of runtime.allgadd shows them.
	findAllgs(f function) (length, pointer uint64, err error)
	// steps returns what is next behind each instruction of a function.
	steps(f function) ([]step, error)
	// addresses returns the addresses that the code of a function loads into registers.
	addresses(f function) []uint64
	// findWaitReasons reads runtime.waitReasonStrings, which the code of waitReason.String names, with the number of its elements.
	findWaitReasons(f function, im *image) ([]string, error)
}

var instructionSets = map[string]instructionSet{"amd64": amd64{}, "arm64": arm64{}}

// changersAmong returns the functions of package runtime that change a status, but for those whose changes are none of the state.
func changersAmong(set instructionSet, functions []function, what swapped) (changers []function, err error) {
	seen := false
	size := 0
	for _, f := range functions {
		// The ABI0 wrapper of casgstatus, which has the same name, stands behind the function.
		if noChange[f.name] || f.name == casgstatus && seen || !set.mayHold(f, what) {
			continue
		}
		if size += len(f.code); len(f.code) > maxFunction || size > maxCode {
			return nil, fmt.Errorf("%s has %d bytes of code, with all that may change a status %d: more than any runtime has", f.name, len(f.code), size)
		}
		seen = seen || f.name == casgstatus
		changers = append(changers, f)
	}
	return changers, nil
}

// findSites returns the sites at which, together, each change of a goroutine's state is seen. functions are those of package
// runtime. The code itself must confirm the offset of g.atomicstatus.
func findSites(set instructionSet, functions []function, what swapped) ([]Site, error) {
	changers, err := changersAmong(set, functions, what)
	if err != nil {
		return nil, err
	}
	var sites []Site
	seen := false
	for _, f := range changers {
		swaps, err := set.swapSites(f, what)
		if err != nil {
			return nil, err
		}
		if f.name == casgstatus && len(swaps) > 0 {
			call, err := set.callSite(f)
			if err != nil {
				return nil, err
			}
			swaps, seen = []Site{call}, true
		}
		for _, s := range swaps {
			s.Function, s.Syscall = f.name, syscallEnds[f.name]
			sites = append(sites, s)
		}
	}
	if !seen {
		return nil, fmt.Errorf("no %s that swaps a status at offset %#x, so the layout is not that of this binary", casgstatus, what.atomicstatus)
	}
	return sites, nil
}
