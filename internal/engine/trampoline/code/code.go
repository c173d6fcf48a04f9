// Package code writes the trampolines: machine code that a process runs where goroutines change their status, and that appends a record of
// each change to the rings of package ring.
//
// All trampolines of a process are in one piece of text. The instruction of each patch gives way to a jump to its trampoline, which carries it
// out elsewhere and jumps back behind it. There is no call, the stack pointer never moves, and all memory that is read besides the rings is
// that of goroutines and their stacks, which Go never unmaps: so trampolines can neither fault nor be noticed by who looks at the thread.
package code

import (
	"errors"
	"fmt"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// MaxSize is the size that the text of a process never exceeds, in bytes: there is room for all patches that goexe takes a program to have.
const MaxSize = 32 << 10

// Options say what trampolines are written for.
type Options struct {
	// Data is the address of the shared memory in the process.
	Data uint64
	// Geometry is the size of the shared memory.
	Geometry ring.Geometry
	// Layout is that of the process's release of Go.
	Layout *goexe.Layout
	// ChannelReasons is the set of wait reasons of goroutines that wait for channels.
	ChannelReasons uint64
	// RDPID tells that the processor has this instruction. RDTSCP, which all others have that can be used, takes 15 ns longer as it waits for
	// the instructions before it.
	RDPID bool
}

// Jump is what is written in the place of a patch's instruction.
type Jump struct {
	// Address in the process.
	Address uint64
	// Code is a jump to the trampoline, filled up to the size of the instruction, Original the instruction.
	Code, Original []byte
}

// Assemble writes the trampolines of patches, as text for the address at, and the jumps to them in an executable that is loaded with a bias.
// Its errors are about patches that nothing is known to be done about, and about addresses that jumps do not reach.
func Assemble(o Options, at, bias uint64, patches []goexe.Patch) (text []byte, jumps []Jump, err error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	t := &writer{assembler: newAssembler(at), Options: o, statuses: statusesOf(o.Layout)}
	if slices.ContainsFunc(patches, func(p goexe.Patch) bool { return p.Kind == goexe.Swap }) {
		t.sharedExtras()
	}
	for _, p := range patches {
		t.align(alignment)
		start, address := t.here(), p.Address+bias
		if err := t.trampoline(p, address); err != nil {
			return nil, nil, fmt.Errorf("%s at %#x: %w", p.Function, p.Address, err)
		}
		jump, err := jumpTo(start, address, len(p.Code))
		if err != nil {
			return nil, nil, err
		}
		jumps = append(jumps, Jump{Address: address, Code: jump, Original: p.Code})
	}
	if t.err != nil {
		return nil, nil, t.err
	}
	if len(t.code) > MaxSize {
		return nil, nil, fmt.Errorf("%d trampolines take %d bytes, more than %d", len(patches), len(t.code), MaxSize)
	}
	return t.code, jumps, nil
}

// alignment is that of trampolines, in bytes: the processor fetches that many at a time.
const alignment = 32

// auxCPU are the bits of TSC_AUX that hold the number of the CPU; the kernel puts that of the node above them (vdso_getcpu in Linux).
const auxCPU = 0xfff

func (o Options) check() error {
	if o.Geometry.CPUs < 1 || o.Geometry.CPUs > auxCPU+1 {
		return fmt.Errorf("%d CPUs", o.Geometry.CPUs)
	}
	if bits := o.Geometry.Bits; 1<<bits <= ring.MaxExtras || bits > ring.MaxBits {
		return fmt.Errorf("2^%d slots", bits)
	}
	if o.Data%ring.SlotSize != 0 {
		return fmt.Errorf("slots at %#x would not be aligned", o.Data)
	}
	return nil
}

func jumpTo(trampoline, from uint64, size int) ([]byte, error) {
	a := newAssembler(from)
	a.jmpAway(trampoline)
	if len(a.code) > size {
		return nil, fmt.Errorf("a jump of %d bytes in the place of %d", len(a.code), size)
	}
	a.align(size)
	return a.code, a.err
}

// statuses are the values of g.atomicstatus that matter, and sets of them: bit i is status i.
type statuses struct {
	running, syscall, waiting uint8
	dead, blocked             uint16
}

func statusesOf(l *goexe.Layout) statuses {
	s := statuses{running: l.Status["Grunning"], syscall: l.Status["Gsyscall"], waiting: l.Status["Gwaiting"]}
	s.blocked = 1<<s.waiting | 1<<s.syscall
	for value, state := range l.States() {
		if state == lifecycle.Dead {
			s.dead |= 1 << value
		}
	}
	return s
}

// trampoline writes that of one patch.
func (t *writer) trampoline(p goexe.Patch, address uint64) error {
	back := address + uint64(len(p.Code))
	switch p.Kind {
	case goexe.Call:
		t.call(p.Code, back)
		return nil
	case goexe.Swap:
		if p.G >= 16 || p.New >= 16 || reg(p.G) == rsp || reg(p.New) == rsp || reg(p.New) == rax {
			return errors.New("the instruction's registers are not possible")
		}
		t.swap(p.Code, reg(p.G), reg(p.New), back)
		return nil
	case goexe.Sent, goexe.Received, goexe.Taken:
		return t.item(p, back)
	}
	return fmt.Errorf("unknown kind %d", p.Kind)
}
