// Package snapshot reads the goroutines of a live process out of its memory, without stopping it and without a probe.
package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
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
	perCall       = 1024 // pieces of memory, UIO_MAXIOV of the kernel
	bytesPerCall  = 1 << 20
	pageSize      = 4096 // at the least
)

// Read returns all goroutines that Each visits.
func Read(pid int, b *goexe.Binary, bias uint64) (all []Goroutine, err error) {
	err = Each(pid, b, bias, func(g Goroutine) error {
		all = append(all, g)
		return nil
	})
	return all, err
}

// Each calls visit with each goroutine that the process pid has, dead ones left out, until it returns an error. bias is how far above its
// link-time addresses the binary lies. The runtime never frees a g, so a list that is read while the program runs is valid, if not of one
// moment.
func Each(pid int, b *goexe.Binary, bias uint64, visit func(Goroutine) error) error {
	if b.AllgLen == 0 || b.AllgPtr == 0 {
		return ErrNoAnchor
	}
	// runtime.atomicAllG in runtime/proc.go: the length is to be read before the pointer.
	length, err := word(pid, b.AllgLen+bias)
	if err != nil {
		return err
	}
	list, err := word(pid, b.AllgPtr+bias)
	if err != nil {
		return err
	}
	if length > maxGoroutines {
		return fmt.Errorf("process %d claims to have %d goroutines", pid, length)
	}
	addresses := make([]uint64, length)
	pointers := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(addresses))), wordSize*length)
	if err := read(pid, []unix.RemoteIovec{piece(list, len(pointers))}, pointers); err != nil {
		return err
	}
	slices.Sort(addresses)
	return eachAt(pid, b.Layout, addresses, visit)
}

const wordSize = 8

// eachAt visits the goroutines whose runtime.g are at addresses, in ascending order.
func eachAt(pid int, l *goexe.Layout, addresses []uint64, visit func(Goroutine) error) error {
	first, size := part(l)
	states := statesOf(l)
	buffer := make([]byte, bytesPerCall)
	for len(addresses) > 0 {
		pieces, n, bytes := gather(addresses, first, size)
		if err := read(pid, pieces, buffer[:bytes]); err != nil {
			return err
		}
		at := 0
		for _, p := range pieces {
			begin, end := uint64(p.Base), uint64(p.Base)+uint64(p.Len)
			for ; n > 0 && addresses[0]+uint64(first) < end; n, addresses = n-1, addresses[1:] {
				g := buffer[at+int(addresses[0]+uint64(first)-begin):]
				x := parse(l, states, addresses[0], first, g[:size])
				if x.State == lifecycle.Dead {
					continue
				}
				if err := visit(x); err != nil {
					return err
				}
			}
			at += p.Len
		}
	}
	return nil
}

// gather returns the pieces of memory that hold the wanted part of the first n gs, as many as one call can read. The runtime allocates gs
// beside each other: what lies between two that are less than a page apart is read with them, for each such page holds a part of one.
func gather(addresses []uint64, first, size int) (pieces []unix.RemoteIovec, n, bytes int) {
	for _, address := range addresses {
		begin := address + uint64(first)
		more, last := size, len(pieces)-1
		joins := last >= 0 && begin-uint64(pieces[last].Base) < uint64(pieces[last].Len)+pageSize
		if joins {
			more = max(int(begin-uint64(pieces[last].Base))+size-pieces[last].Len, 0)
		}
		if bytes+more > bytesPerCall || !joins && len(pieces) == perCall {
			break
		}
		if joins {
			pieces[last].Len += more
		} else {
			pieces = append(pieces, piece(begin, size))
		}
		bytes += more
		n++
	}
	return pieces, n, bytes
}

func piece(address uint64, size int) unix.RemoteIovec {
	return unix.RemoteIovec{Base: uintptr(address), Len: size}
}

// part returns the part of a runtime.g that is read: where it begins, and its size in bytes.
func part(l *goexe.Layout) (first, size int) {
	fields := []uint16{l.G.AtomicStatus, l.G.Goid, l.G.WaitReason, l.G.StartPC, l.G.GoPC, l.G.WaitSince}
	if l.G.ParentGoid != 0 {
		fields = append(fields, l.G.ParentGoid)
	}
	first = int(slices.Min(fields))
	return first, int(slices.Max(fields)) + wordSize - first
}

// statusMask takes off the bit that a garbage collection sets while it scans a goroutine's stack (_Gscan in runtime/runtime2.go).
const statusMask = 15

// statesOf returns the state of each status of a release's runtime; those that it does not have are dead.
func statesOf(l *goexe.Layout) (states [statusMask + 1]lifecycle.State) {
	for status, state := range l.States() {
		states[status&statusMask] = state
	}
	return states
}

func parse(l *goexe.Layout, states [statusMask + 1]lifecycle.State, address uint64, first int, g []byte) Goroutine {
	word := func(offset uint16) uint64 { return binary.LittleEndian.Uint64(g[int(offset)-first:]) }
	x := Goroutine{
		G:          address,
		GoID:       word(l.G.Goid),
		State:      states[g[int(l.G.AtomicStatus)-first]&statusMask],
		WaitReason: g[int(l.G.WaitReason)-first],
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
	var b [wordSize]byte
	if err := read(pid, []unix.RemoteIovec{piece(address, wordSize)}, b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// read reads pieces of a process's memory into a buffer that has just room for them, one after the other.
func read(pid int, pieces []unix.RemoteIovec, buffer []byte) error {
	if len(buffer) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &buffer[0]}}
	local[0].SetLen(len(buffer))
	n, err := unix.ProcessVMReadv(pid, local, pieces, 0)
	if errors.Is(err, unix.ESRCH) { // so it is also if only the first thread has exited
		if thread, threadErr := processes.Thread(pid); threadErr == nil {
			n, err = unix.ProcessVMReadv(thread, local, pieces, 0)
		}
	}
	if err != nil {
		return fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	if n != len(buffer) {
		return fmt.Errorf("read memory of process %d: %d of %d bytes", pid, n, len(buffer))
	}
	return nil
}
