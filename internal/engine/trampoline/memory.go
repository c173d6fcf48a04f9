//go:build linux

package trampoline

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// memory reads a process's. What it reads may be of a later moment than the change because of which it is read.
type memory interface {
	// origin returns what the runtime has stored of how a goroutine came to be, if its g still is that goroutine's.
	origin(g, goid uint64) (origin, bool)
	// goid returns the id of the goroutine that has a g, 0 if it cannot be read.
	goid(g uint64) uint64
	// threadID returns the kernel's id of an m's thread, 0 if it cannot be read.
	threadID(m uint64) int
	// look calls f with what reads the memory, and reports whether that has answered. If not, what f uses must not be used again.
	look(f func(read reader)) bool
}

// reader fills a buffer from an address, and reports whether it could.
type reader func(to []byte, address uint64) bool

// origin is where a goroutine begins, and where it was created.
type origin struct{ startPC, goPC uint64 }

// liveMemory is that of a process which runs. The process may keep reads from ending for as long as it wants: they bother nobody else.
type liveMemory struct {
	pid       int
	layout    *goexe.Layout
	ids       threadIDs
	guard     processes.Guard
	allowance allowance
}

// newLiveMemory returns that of a process. begin begins a read beside the caller.
func newLiveMemory(pid int, l *goexe.Layout, begin func(func())) *liveMemory {
	return &liveMemory{pid: pid, layout: l, ids: newThreadIDs(pid), guard: processes.Guard{Go: begin}}
}

func (m *liveMemory) look(f func(reader)) bool {
	began := time.Now()
	patience := m.allowance.at(began)
	if patience <= 0 {
		return false
	}
	answered := m.guard.DoSystemCalls(patience, func() { f(m.read) })
	m.allowance.spend(time.Since(began))
	return answered
}

func (m *liveMemory) read(to []byte, address uint64) bool {
	return processes.ReadMemory(m.pid, []unix.RemoteIovec{{Base: uintptr(address), Len: len(to)}}, to) == nil
}

// part returns a part of the memory, nil if it cannot be read.
func (m *liveMemory) part(address uint64, size int) (part []byte) {
	buffer, ok := make([]byte, size), false
	if m.look(func(read reader) { ok = read(buffer, address) }) && ok {
		return buffer
	}
	return nil
}

func (m *liveMemory) word(address uint64) uint64 {
	word := m.part(address, 8)
	if word == nil {
		return 0
	}
	return binary.NativeEndian.Uint64(word)
}

func (m *liveMemory) origin(g, goid uint64) (origin, bool) {
	whole := m.part(g, int(m.layout.G.Size))
	if whole == nil {
		return origin{}, false
	}
	field := func(at uint16) uint64 { return binary.NativeEndian.Uint64(whole[at:]) }
	return origin{startPC: field(m.layout.G.StartPC), goPC: field(m.layout.G.GoPC)}, field(m.layout.G.Goid) == goid
}

func (m *liveMemory) goid(g uint64) uint64 { return m.word(g + uint64(m.layout.G.Goid)) }

func (m *liveMemory) threadID(mp uint64) int {
	return m.ids.own(m.word(mp + uint64(m.layout.M.Procid)))
}

// allowance is for how long a process's memory may still keep the reader of all processes waiting.
type allowance struct {
	left time.Duration
	when time.Time // of left
}

const (
	// oneRead is for how long it may at once, some reads together for savedUp, and over time for one part in waitingShare. A read takes some ten
	// microseconds where the memory is there, and when a process begins to be followed some may be needed for each of thousands of goroutines.
	oneRead, savedUp = 20 * time.Millisecond, 500 * time.Millisecond
	waitingShare     = 4
)

// at returns how long it may at a time.
func (a *allowance) at(now time.Time) time.Duration {
	earned := savedUp
	if !a.when.IsZero() {
		earned = now.Sub(a.when) / waitingShare
	}
	a.left, a.when = min(a.left+earned, savedUp), now
	return min(a.left, oneRead)
}

func (a *allowance) spend(waited time.Duration) { a.left -= waited }
