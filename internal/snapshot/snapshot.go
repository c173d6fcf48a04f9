//go:build linux

// Package snapshot reads the goroutines of a live process out of its memory, without stopping it and without a probe.
package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

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
	// Stack holds the return addresses of one that waits, innermost first, if Source.Stacks asks for it.
	Stack []uint64

	schedPC, schedBP uint64 // where it will go on
}

// ErrTooMany is wrapped by the error about a list of goroutines that is longer than is read of it.
var ErrTooMany = errors.New("too many goroutines")

// ErrBlocked is wrapped by the error about a process that has not let an earlier read of its memory end.
var ErrBlocked = errors.New("its memory does not come")

// blocked has the pids of processes of which a read that was given up still waits.
var blocked sync.Map

// MaxGoroutines is how long a list is read at the most, whatever the limit: 4 Mi, for which 32 MiB of addresses are kept.
const MaxGoroutines = 4 << 20

const (
	perCall      = 1024 // pieces of memory, UIO_MAXIOV of the kernel
	bytesPerCall = 1 << 20
	pageSize     = 4096 // at the least
)

// Source is a live process whose memory is read.
type Source struct {
	PID    int
	Binary *goexe.Binary
	// Bias is how far above its link-time addresses the binary lies.
	Bias uint64
	// Limit is of how many goroutines the memory is read at the most, those counted too that are dead; 0 for MaxGoroutines.
	Limit int
	// Stacks says whether the stacks of those that wait are read too, each by at least one more call of the kernel.
	Stacks bool
}

// Read returns all goroutines that Each visits, also with an error.
func (s Source) Read(ctx context.Context) (all []Goroutine, err error) {
	err = s.Each(ctx, func(g Goroutine) error {
		all = append(all, g)
		return nil
	})
	return all, err
}

// Each calls visit with each goroutine that the process has, dead ones left out, until it returns an error. The runtime never frees a g, so
// a list that is read while the program runs is valid, if not of one moment. The error wraps ErrTooMany if there are more than the limit:
// then it has visited some, no matter which.
//
// The memory is read a megabyte at a time, and between two reads Each looks at the context. A read blocks for as long as the process wants
// if its memory is of a userfaultfd, or of a file of a file system that does not answer. Then Each returns at the end of the context, and
// leaves the thread that reads behind; it ends when the memory comes or the process ends, and until then no other read of the process is
// begun: the error wraps ErrBlocked.
func (s Source) Each(ctx context.Context, visit func(Goroutine) error) error {
	if s.Binary.AllgLen == 0 || s.Binary.AllgPtr == 0 {
		return ErrNoAnchor
	}
	addresses, length, err := s.list(ctx)
	if err != nil {
		return err
	}
	read := len(addresses)
	slices.Sort(addresses)
	// The runtime lists none twice. A process that does costs nothing more with it.
	if err := s.eachAt(ctx, slices.Compact(addresses), visit); err != nil {
		return err
	}
	if uint64(read) < length {
		return fmt.Errorf("%w: process %d claims %d, of which %d were read", ErrTooMany, s.PID, length, read)
	}
	return nil
}

// list returns the addresses of the first gs, and how many there are in all.
func (s Source) list(ctx context.Context) (addresses []uint64, length uint64, err error) {
	// runtime.atomicAllG in runtime/proc.go: the length is to be read before the pointer.
	if length, err = s.word(ctx, s.Binary.AllgLen+s.Bias); err != nil {
		return nil, 0, err
	}
	at, err := s.word(ctx, s.Binary.AllgPtr+s.Bias)
	if err != nil {
		return nil, 0, err
	}
	limit := s.Limit
	if limit <= 0 || limit > MaxGoroutines {
		limit = MaxGoroutines
	}
	addresses = make([]uint64, 0, min(length, uint64(limit)))
	buffer := make([]byte, min(bytesPerCall, wordSize*cap(addresses)))
	for len(addresses) < cap(addresses) {
		part := buffer[:min(len(buffer), wordSize*(cap(addresses)-len(addresses)))]
		if err := s.read(ctx, []unix.RemoteIovec{piece(at+uint64(wordSize*len(addresses)), len(part))}, part); err != nil {
			return nil, 0, err
		}
		for ; len(part) > 0; part = part[wordSize:] {
			addresses = append(addresses, binary.LittleEndian.Uint64(part))
		}
	}
	return addresses, length, nil
}

const wordSize = 8

// eachAt visits the goroutines whose runtime.g are at addresses, in ascending order.
func (s Source) eachAt(ctx context.Context, addresses []uint64, visit func(Goroutine) error) error {
	l := s.Binary.Layout
	first, size := part(l)
	states := statesOf(l)
	buffer := make([]byte, min(bytesPerCall, len(addresses)*(size+pageSize))) // many processes may be read at a time
	for len(addresses) > 0 {
		pieces, n, bytes := gather(addresses, first, size)
		if err := s.read(ctx, pieces, buffer[:bytes]); err != nil {
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
				if s.Stacks {
					x.Stack = s.stackOf(ctx, &x)
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
	fields := []uint16{l.G.AtomicStatus, l.G.Goid, l.G.WaitReason, l.G.StartPC, l.G.GoPC, l.G.WaitSince, l.G.SchedPC, l.G.SchedBP}
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
		schedPC:    word(l.G.SchedPC),
		schedBP:    word(l.G.SchedBP),
	}
	if l.G.ParentGoid != 0 {
		x.ParentGoID = word(l.G.ParentGoid)
	}
	return x
}

func (s Source) word(ctx context.Context, address uint64) (uint64, error) {
	b := make([]byte, wordSize)
	if err := s.read(ctx, []unix.RemoteIovec{piece(address, wordSize)}, b); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// read reads pieces of the process's memory into a buffer that has just room for them, one after the other. The buffer must not be used
// again after an error: a read that blocks may still write it.
func (s Source) read(ctx context.Context, pieces []unix.RemoteIovec, buffer []byte) error {
	if err := ctx.Err(); err != nil || len(buffer) == 0 {
		return err
	}
	if _, is := blocked.Load(s.PID); is {
		return fmt.Errorf("read memory of process %d: %w", s.PID, ErrBlocked)
	}
	done := make(chan error, 1)
	go func() { done <- processes.ReadMemory(s.PID, pieces, buffer) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		blocked.Store(s.PID, nil)
		go func() {
			<-done
			blocked.Delete(s.PID)
		}()
		return fmt.Errorf("read memory of process %d: %w", s.PID, ctx.Err())
	}
}
