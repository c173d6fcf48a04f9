//go:build linux

package inject

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// step is called before each change of anything outside of this process. Tests replace it.
var step = func() {}

// process is one as it was when it was opened: the memory is no other's, even if it executes another program.
type process struct {
	pid int
	// proc is its directory in /proc; that of a thread that lives.
	proc   string
	memory *os.File
	// code is an address that the executable's code has in it.
	code uint64
	// answers, lives and traces bound how long the process can keep others waiting with accesses to its memory, with the question whether that
	// still is there, and by its threads.
	answers, lives, traces processes.Guard
}

const (
	// answerLimit is how long memory may take to be read or written, during which the process may be stopped.
	answerLimit = 500 * time.Millisecond
	// lifeLimit is how long the question may take whether the memory still is there.
	lifeLimit = 50 * time.Millisecond
)

// errNoAnswer is that of memory which is of a userfaultfd, or of a file of a file system that does not answer.
var errNoAnswer = errors.New("the process's memory does not answer")

func open(pid int, code uint64) (*process, error) {
	p := &process{pid: pid, code: code}
	if err := p.locate(); err != nil {
		return nil, err
	}
	var err error
	p.memory, err = os.OpenFile(p.proc+"/mem", os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH):
		return nil, errGone
	case errors.Is(err, os.ErrPermission):
		return nil, refusePermission(err)
	case err != nil:
		return nil, err
	}
	return p, nil
}

// locate finds its directory in /proc. Where the first thread has exited, it is that of another, which may exit too.
func (p *process) locate() error {
	thread, err := processes.Thread(p.pid)
	switch {
	case errors.Is(err, processes.ErrNoProcess):
		return fmt.Errorf("%w: %w", err, unix.ESRCH)
	case err != nil:
		return refuseIfDenied(err)
	}
	p.proc = "/proc/" + strconv.Itoa(thread)
	return nil
}

func (p *process) close() error { return p.memory.Close() }

// nowhere is an address that no process can have anything at: user space ends below it (Documentation/arch/x86/x86_64/5level-paging.rst).
const nowhere = 1 << 56

// gone tells whether the memory is no more. It touches none, and takes memory that does not answer for one that is there.
func (p *process) gone() bool {
	var err error
	return p.lives.DoSystemCalls(lifeLimit, func() { _, err = p.memory.ReadAt(make([]byte, 1), nowhere) }) && errors.Is(err, io.EOF)
}

// part is one of the memory that is read.
type part struct {
	address uint64
	b       []byte
	err     error
}

// readAll reads parts of the memory, each of which may have an error of its own.
func (p *process) readAll(parts []part) error {
	answered := p.answers.DoSystemCalls(answerLimit, func() {
		for i := range parts {
			parts[i].err = p.readPart(&parts[i])
		}
	})
	if !answered {
		return errNoAnswer
	}
	return nil
}

func (p *process) readPart(of *part) error {
	_, err := p.memory.ReadAt(of.b, int64(of.address))
	if errors.Is(err, io.EOF) { // memory without a process
		return errGone
	}
	if err != nil {
		return fmt.Errorf("read memory at %#x: %w", of.address, err)
	}
	return nil
}

func (p *process) read(address uint64, n int) ([]byte, error) {
	one := []part{{address: address, b: make([]byte, n)}}
	if err := p.readAll(one); err != nil {
		return nil, err
	}
	return one[0].b, one[0].err
}

// write changes memory, also where the process itself could not, as code: such pages become its own and no longer are those of the file. What does
// not answer may yet be changed later: it is nothing that a thread runs.
func (p *process) write(address uint64, b []byte) error {
	step()
	var err error
	if !p.answers.DoSystemCalls(answerLimit, func() { err = p.overwrite(address, b) }) {
		return errNoAnswer
	}
	return err
}

// overwrite does that however long it takes: it is for what was read just now, with all threads stopped.
func (p *process) overwrite(address uint64, b []byte) error {
	_, err := p.memory.WriteAt(b, int64(address))
	return writeError(address, err)
}

// writeError tells why memory cannot be written: the kernel may be set to never let anybody overwrite what is read-only
// (proc_mem.force_override in Documentation/admin-guide/kernel-parameters.txt).
func writeError(address uint64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, unix.ESRCH):
		return errGone
	case errors.Is(err, unix.EIO), errors.Is(err, os.ErrPermission):
		return engine.Refuse(engine.RefusedMemoryProtection, "write code at %#x: %w", address, err)
	}
	return fmt.Errorf("write memory at %#x: %w", address, err)
}
