package code

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// What Measure runs: a g with a stack of frames, in a page behind rings that any CPU has.
var (
	measured = Options{
		Geometry: ring.Geometry{CPUs: auxCPU + 1, Bits: 6},
		Layout: &goexe.Layout{
			GoVersion: "go1.26.0",
			G:         goexe.GLayout{M: 0x30, SchedPC: 0x40, SchedBP: 0x60, Goid: 0x98, WaitReason: 0xb0, GoPC: 0x118, StartPC: 0x128, Labels: 0x160},
			M:         goexe.MLayout{Curg: 0xb8},
			Status:    map[string]uint8{"Gidle": 0, "Grunnable": 1, "Grunning": 2, "Gsyscall": 3, "Gwaiting": 4, "Gdead": 6},
		},
	}
)

const (
	gPage, framesOffset, framesSize = 0x1000, 0x800, 0x800
	maxFrames                       = framesSize / 16
	codeSize                        = MaxSize + 0x1000
	rounds, changesPerRound         = 8, 4096
)

// Measure returns how long this processor takes to record a change with a stack of some frames, of which there are as many, or none, in a loop of
// nothing else: at its fastest, as other work on the processor only adds to it. Its error is that of the system if it does not permit the memory to
// run code.
func Measure(frames int) (time.Duration, error) {
	size := measured.Geometry.Size()
	data, err := unix.Mmap(-1, 0, int(size)+gPage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, fmt.Errorf("map memory for records: %w", err)
	}
	defer unix.Munmap(data)
	fillRings(data, frames > 0)
	g := fillG(data[size:], min(frames, maxFrames))
	o := measured
	o.Data, o.RDPID = addressOf(data), HasRDPID()
	text, err := loop(o)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(text)
	best := time.Duration(math.MaxInt64)
	for range rounds {
		r := registers{rax: g, rbx: changesPerRound<<4 | uint64(measured.Layout.Status["Grunning"]), rcx: uint64(measured.Layout.Status["Gwaiting"]), r14: g}
		start := time.Now()
		enter(uintptr(addressOf(text)), &r)
		best = min(best, time.Since(start))
	}
	return best / changesPerRound, nil
}

func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }

func put(b []byte, at uint64, v uint64) { binary.NativeEndian.PutUint64(b[at:], v) }

// fillRings has all records taken for ever.
func fillRings(data []byte, stacks bool) {
	put(data, ring.OffDeadline, math.MaxUint64)
	if stacks {
		put(data, ring.OffStackSlots, ring.MaxStackSlots)
	}
	for cpu := range uint64(measured.Geometry.CPUs) {
		put(data, ring.OffHeaders+cpu*ring.HeaderSize+ring.OffLimit, math.MaxUint64)
	}
}

// fillG makes a goroutine with a stack of some frames in a page, which is also its m, and returns its address.
func fillG(page []byte, frames int) uint64 {
	at := addressOf(page)
	l := measured.Layout
	put(page, 0, at+framesOffset)
	put(page, 8, at+framesOffset+framesSize)
	put(page, uint64(l.G.M), at)
	put(page, uint64(l.G.SchedPC), 1)
	put(page, uint64(l.G.SchedBP), at+framesOffset)
	for i := range uint64(frames) {
		frame := framesOffset + 16*i
		if i+2 < uint64(frames) { // the innermost address is in none
			put(page, frame, at+frame+16)
		}
		put(page, frame+8, i+1)
	}
	return at
}

// loop maps code that changes a status as often as RBX tells above its lower four bits, which are the old status, and once more.
func loop(o Options) ([]byte, error) {
	text, err := unix.Mmap(-1, 0, codeSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map memory for code: %w", err)
	}
	if err := fillLoop(text, o); err != nil {
		unix.Munmap(text)
		return nil, err
	}
	return text, nil
}

func fillLoop(text []byte, o Options) error {
	at := addressOf(text)
	a := newAssembler(at)
	a.label("change")
	a.store(redZone(0), rax) // as casgstatus has it behind its prologue
	patch := goexe.Patch{Kind: goexe.Call, Function: "change", Address: at, Code: append([]byte{}, a.code...)}
	a.sub(rbx, imm(1<<4))
	a.jcc(noCarry, "change")
	a.emit(ret)
	a.resolve()
	a.align(alignment)
	trampolines, jumps, err := Assemble(o, a.here(), 0, []goexe.Patch{patch})
	if err != nil {
		return err
	}
	copy(text, a.code)
	copy(text, jumps[0].Code)
	copy(text[len(a.code):], trampolines)
	if err := unix.Mprotect(text, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		return fmt.Errorf("let memory run code: %w", err)
	}
	return nil
}
