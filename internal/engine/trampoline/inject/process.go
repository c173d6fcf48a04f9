//go:build linux && amd64

package inject

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

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
}

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

// gone tells whether the memory is no more.
func (p *process) gone() bool {
	_, err := p.read(p.code, 1)
	return errors.Is(err, errGone)
}

func (p *process) read(address uint64, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := p.memory.ReadAt(b, int64(address))
	if errors.Is(err, io.EOF) { // memory without a process
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("read memory at %#x: %w", address, err)
	}
	return b, nil
}

// write changes memory, also where the process itself could not, as code: such pages become its own and no longer are those of the file.
func (p *process) write(address uint64, b []byte) error {
	step()
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
