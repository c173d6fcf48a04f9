//go:build linux

package trampoline

import (
	"encoding/binary"

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
	// read fills a buffer from an address, and reports whether it could.
	read(to []byte, address uint64) bool
}

// origin is where a goroutine begins, and where it was created.
type origin struct{ startPC, goPC uint64 }

// liveMemory is that of a process which runs.
type liveMemory struct {
	pid    int
	layout *goexe.Layout
	g      []byte // of runtime.g
	word   [8]byte
	ids    threadIDs
}

func newLiveMemory(pid int, l *goexe.Layout) *liveMemory {
	return &liveMemory{pid: pid, layout: l, g: make([]byte, l.G.Size), ids: newThreadIDs(pid)}
}

func (m *liveMemory) read(to []byte, address uint64) bool {
	return processes.ReadMemory(m.pid, []unix.RemoteIovec{{Base: uintptr(address), Len: len(to)}}, to) == nil
}

func (m *liveMemory) readWord(address uint64) uint64 {
	if !m.read(m.word[:], address) {
		return 0
	}
	return binary.NativeEndian.Uint64(m.word[:])
}

func (m *liveMemory) origin(g, goid uint64) (origin, bool) {
	if !m.read(m.g, g) {
		return origin{}, false
	}
	field := func(at uint16) uint64 { return binary.NativeEndian.Uint64(m.g[at:]) }
	return origin{startPC: field(m.layout.G.StartPC), goPC: field(m.layout.G.GoPC)}, field(m.layout.G.Goid) == goid
}

func (m *liveMemory) goid(g uint64) uint64 { return m.readWord(g + uint64(m.layout.G.Goid)) }

func (m *liveMemory) threadID(mp uint64) int {
	return m.ids.own(m.readWord(mp + uint64(m.layout.M.Procid)))
}
