package code

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// machine is memory as a process has it: rings, a g with its stack, an m, and text with a function that changes the g's status.
type machine struct {
	t      *testing.T
	data   []byte // the shared memory
	things []byte
	text   []byte
	o      Options
}

const (
	// Offsets in things.
	gAt, curgAt, mAt, stackAt, stackSize = 0x1000, 0x1800, 0x2000, 0x4000, 0x1000
	thingsSize                           = 0x6000
	// trampolinesAt is the offset of the trampolines in text, which begins with the function.
	trampolinesAt, textSize = 0x1000, 0x4000
)

func mapped(t *testing.T, size uint64) []byte {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Munmap(b) })
	return b
}

func get(b []byte, at uint64) uint64 { return binary.NativeEndian.Uint64(b[at:]) }

func newMachine(t *testing.T, l *goexe.Layout, bits uint32) *machine {
	geometry := ring.Geometry{CPUs: auxCPU + 1, Bits: bits}
	m := &machine{t: t, data: mapped(t, geometry.Size()), things: mapped(t, thingsSize), text: mapped(t, textSize)}
	m.o = Options{Data: addressOf(m.data), Geometry: geometry, Layout: l, RDPID: HasRDPID()}
	put(m.data, ring.OffDeadline, math.MaxUint64)
	for cpu := range uint64(geometry.CPUs) {
		put(m.data, ring.OffHeaders+cpu*ring.HeaderSize+ring.OffLimit, math.MaxUint64)
	}
	for _, g := range []uint64{gAt, curgAt} {
		put(m.things, g, m.thing(stackAt))
		put(m.things, g+8, m.thing(stackAt+stackSize))
	}
	m.field(l.G.M, m.thing(mAt))
	put(m.things, mAt+uint64(l.M.Curg), m.thing(curgAt))
	return m
}

// thing returns the address of what is at an offset in things.
func (m *machine) thing(at uint64) uint64 { return addressOf(m.things) + at }

// field sets a field of the g.
func (m *machine) field(offset uint16, v uint64) { put(m.things, gAt+uint64(offset), v) }

// load makes a function of code that has one instruction at which the status changes. Without patch it is as the compiler made it.
func (m *machine) load(p goexe.Patch, code []byte, patch bool) {
	require.NoError(m.t, unix.Mprotect(m.text, unix.PROT_READ|unix.PROT_WRITE))
	copy(m.text, code)
	if patch {
		bias := addressOf(m.text)
		text, jumps, err := Assemble(m.o, bias+trampolinesAt, bias, []goexe.Patch{p})
		require.NoError(m.t, err)
		copy(m.text[trampolinesAt:], text)
		require.Equal(m.t, p.Code, m.text[jumps[0].Address-bias:][:len(p.Code)])
		require.Equal(m.t, p.Code, jumps[0].Original)
		copy(m.text[jumps[0].Address-bias:], jumps[0].Code)
	}
	require.NoError(m.t, unix.Mprotect(m.text, unix.PROT_READ|unix.PROT_EXEC))
}

func (m *machine) run(r registers) registers {
	enter(uintptr(addressOf(m.text)), &r)
	return r
}
