//go:build linux

// Package inject puts trampolines into a running process, and takes them away, by ptrace(2).
//
// An installation is three short operations. A thread of the process is stopped and makes an empty memfd; this process opens that through
// /proc and gives it size and pages. A thread is stopped again, maps the memfd and a page for the trampolines, and closes its descriptor.
// Then all threads are stopped, and at each site the instruction is overwritten with a jump, at all sites or at none. Writes go through
// /proc/PID/mem, so that the process never has memory that is both writable and executable. A removal is only the last of these: the memory
// stays mapped, for a signal handler may yet return into a trampoline, but without pages, and the next installation uses it again.
//
// If this process dies at any moment, the kernel lets go of all threads as they are: between two jumps, which are complete each; or in the
// middle of a system call that is not theirs, behind which lies a stub that restores all of the thread and goes on where it was. What is
// left behind is known by the memfd's name, and is used or undone by the next installation. No operation needs this process's end to be
// orderly: all calls come from an OS thread that ends with the operation, and if threads do not stop in time the same happens.
//
// Nothing that the process can write is trusted: what is undone is what the executable file says.
package inject

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// MemoryName is the name of the shared memory, as /proc/PID/maps shows it in the process behind "/memfd:".
const MemoryName = "goroutinereceiver"

// TextSize is how many bytes the trampolines may have.
const TextSize = 32 << 10

// errGone is wrapped by errors about a process whose memory is no more.
var errGone = fmt.Errorf("it has ended or executes another program: %w", unix.ESRCH)

// Program is what is put into a process.
type Program struct {
	// Sites are the instructions that are replaced.
	Sites []Site
	// Assemble returns the trampolines, for addresses in the process of themselves and of the shared memory, and the jumps to them, one for
	// each of Sites. It is a pure function: the same collector finds its own trampolines by it.
	Assemble func(text, data uint64) (code []byte, jumps []Jump, err error)
	// Geometry is the size of the shared memory.
	Geometry ring.Geometry
}

// Site is an instruction at an address in the process, as the executable file has it.
type Site struct {
	Address uint64
	Code    []byte
}

// Jump replaces Original, which is as long, at an address in the process by Code.
type Jump struct {
	Address        uint64
	Code, Original []byte
}
