package goexe

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// memory reads what a process has at addresses; where it has nothing yet, 0.
type memory struct{ io.ReaderAt }

func (m memory) word(address uint64) uint64 {
	var word [8]byte
	if _, err := m.ReadAt(word[:], int64(address)); err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(word[:])
}

// TestRunningProgram reads, in the memory of programs of all releases, the bounds of the stacks of goroutines that wait, and the thread of
// one that runs.
func TestRunningProgram(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, release := range testbuild.Versions {
		t.Run(release, func(t *testing.T) {
			exe := testbuild.Program(t, "busy", testbuild.Options{Version: release})
			b := analysed(t, exe)
			p := testbuild.Start(t, exe, "10")
			p.GoOn()
			file, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.PID()))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			waiting, thread := 0, uint64(0)
			for begin := time.Now(); (waiting < 10 || thread == 0) && time.Since(begin) < 10*time.Second; {
				waiting, thread = lookAtGoroutines(memory{file}, b)
			}
			if waiting < 10 {
				t.Errorf("%d goroutines wait on stacks of their own", waiting)
			}
			if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", p.PID(), thread)); err != nil {
				t.Errorf("the goroutine that runs has the thread %d: %v", thread, err)
			}
		})
	}
}

// lookAtGoroutines returns how many goroutines wait that have their stack pointer within their stack, and the thread of one that runs, 0 if
// none does.
func lookAtGoroutines(m memory, b *Binary) (waiting int, thread uint64) {
	list := m.word(b.AllgPtr)
	for i := range m.word(b.AllgLen) {
		g, l := m.word(list+8*i), b.Layout
		switch uint8(m.word(g + uint64(l.G.AtomicStatus))) {
		case l.Status["Gwaiting"]:
			if sp := m.word(g + uint64(l.G.SchedSP)); m.word(g+stackLo) < sp && sp < m.word(g+stackHi) {
				waiting++
			}
		case l.Status["Grunning"]:
			if of := m.word(g + uint64(l.G.M)); of != 0 {
				thread = m.word(of + uint64(l.M.Procid))
			}
		}
	}
	return waiting, thread
}
