// Package snapshot reads the goroutines of a live process out of its memory, without stopping it and without a probe.
package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// ErrNoAnchor is returned for a binary in which the runtime's list of goroutines was not found.
var ErrNoAnchor = errors.New("the list of goroutines (runtime.allgs) is not to be found")

// Goroutine is one goroutine as it was when its memory was read.
type Goroutine struct {
	// G is the address of the runtime.g.
	G, GoID, ParentGoID uint64
	State               lifecycle.State
	// WaitReason is g.waitreason, which is stale unless the goroutine waits.
	WaitReason uint8
	// StartPC and CreationPC are addresses in the process.
	StartPC, CreationPC uint64
	// WaitSince is g.waitsince: when a garbage collection first found the goroutine waiting, in ns of CLOCK_MONOTONIC; mostly 0.
	WaitSince int64
}

// Limits against what a process's memory may claim.
const (
	maxGoroutines = 16 << 20
	perCall       = 1024 // iovecs, UIO_MAXIOV of the kernel
)

// Read returns all goroutines that the process pid has, dead ones left out. bias is how far above its link-time addresses the
// binary lies. The runtime never frees a g, so a list that is read while the program runs is valid, if not of one moment.
func Read(pid int, b *goexe.Binary, bias uint64) ([]Goroutine, error) {
	if b.AllgLen == 0 || b.AllgPtr == 0 {
		return nil, ErrNoAnchor
	}
	// runtime.atomicAllG in runtime/proc.go: the length is to be read before the pointer.
	length, err := word(pid, b.AllgLen+bias)
	if err != nil {
		return nil, err
	}
	list, err := word(pid, b.AllgPtr+bias)
	if err != nil {
		return nil, err
	}
	if length > maxGoroutines {
		return nil, fmt.Errorf("process %d claims to have %d goroutines", pid, length)
	}
	pointers := make([]byte, 8*length)
	if err := readAll(pid, []uint64{list}, len(pointers), pointers); err != nil {
		return nil, err
	}
	return readGoroutines(pid, b.Layout, pointers)
}

func readGoroutines(pid int, l *goexe.Layout, pointers []byte) ([]Goroutine, error) {
	size := int(l.G.Size)
	var found []Goroutine
	states := statesOf(l)
	buffer := make([]byte, perCall*size)
	addresses := make([]uint64, 0, perCall)
	for len(pointers) > 0 {
		n := min(perCall, len(pointers)/8)
		addresses = addresses[:0]
		for i := range n {
			addresses = append(addresses, binary.LittleEndian.Uint64(pointers[8*i:]))
		}
		pointers = pointers[8*n:]
		if err := readAll(pid, addresses, size, buffer[:n*size]); err != nil {
			return nil, err
		}
		for i, address := range addresses {
			if g := parse(l, states, address, buffer[i*size:(i+1)*size]); g.State != lifecycle.Dead {
				found = append(found, g)
			}
		}
	}
	return found, nil
}

// statusMask takes off the bit that a garbage collection sets while it scans a goroutine's stack (_Gscan in runtime/runtime2.go).
const statusMask = 15

// statesOf returns the state of each status of a release's runtime; those that it does not have are dead.
func statesOf(l *goexe.Layout) (states [statusMask + 1]lifecycle.State) {
	for name, status := range l.Status {
		if s, ok := lifecycle.StateOf(name); ok {
			states[status&statusMask] = s
		}
	}
	return states
}

func parse(l *goexe.Layout, states [statusMask + 1]lifecycle.State, address uint64, g []byte) Goroutine {
	word := func(offset uint16) uint64 { return binary.LittleEndian.Uint64(g[offset:]) }
	x := Goroutine{
		G:          address,
		GoID:       word(l.G.Goid),
		State:      states[g[l.G.AtomicStatus]&statusMask],
		WaitReason: g[l.G.WaitReason],
		StartPC:    word(l.G.StartPC),
		CreationPC: word(l.G.GoPC),
		WaitSince:  int64(word(l.G.WaitSince)),
	}
	if l.G.ParentGoid != 0 {
		x.ParentGoID = word(l.G.ParentGoid)
	}
	return x
}

func word(pid int, address uint64) (uint64, error) {
	var b [8]byte
	if err := readAll(pid, []uint64{address}, len(b), b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// readAll reads size bytes at each address into buffer, one after the other.
func readAll(pid int, addresses []uint64, size int, buffer []byte) error {
	if size == 0 {
		return nil
	}
	remote := make([]unix.RemoteIovec, len(addresses))
	for i, a := range addresses {
		remote[i] = unix.RemoteIovec{Base: uintptr(a), Len: size}
	}
	local := []unix.Iovec{{Base: &buffer[0]}}
	local[0].SetLen(len(buffer))
	n, err := unix.ProcessVMReadv(pid, local, remote, 0)
	if err != nil {
		return fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	if n != len(buffer) {
		return fmt.Errorf("read memory of process %d: %d of %d bytes", pid, n, len(buffer))
	}
	return nil
}
