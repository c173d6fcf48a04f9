//go:build linux

package processes

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// system is what a Registry asks the kernel.
type system interface {
	// list returns the ids of all processes, read what the kernel itself knows of one, link what it shows as the executable of its first
	// thread, and mounts its mount namespace. They never wait.
	list() ([]int, error)
	read(pid int) (Process, error)
	link(pid int) string
	mounts(pid int) string

	// stamp and identify look at a process's executable, and isGo only tells whether it is a Go program. They may wait for as long as the
	// file's file system does.
	stamp(Process) (stamp, error)
	identify(Process) (File, error)
	isGo(Process) bool

	// open returns a descriptor of a file that was identified. forget ends that at once, keep for all that are not needed for a while.
	open(File) (*os.File, error)
	forget(File)
	keep(needed map[File]bool)
	close()
}

// errCopied is the error of a process that runs a file which cannot be reached any more: what its executable's path leads to is the copy that
// an overlay made when the file was changed.
var errCopied = errors.New("its executable was changed in its overlay mount after it was started: it can be followed when it is started again")

// linux asks the running one.
type linux struct{ *files }

func newLinux() linux { return linux{newFiles()} }

func (linux) list() ([]int, error) { return List() }

func (linux) read(pid int) (Process, error) { return Read(pid) }

func (linux) link(pid int) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return path
}

func (linux) mounts(pid int) string {
	namespace, _ := os.Readlink(Process{PID: pid}.path("ns/mnt"))
	return namespace
}

func (linux) stamp(p Process) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Stat(p.ExecutablePath(), &st); err != nil {
		return stamp{}, noProcess(p.PID, err)
	}
	return stampOf(&st), nil
}

func (l linux) identify(p Process) (File, error) {
	number, err := l.files.identify(p.ExecutablePath())
	if err != nil {
		return 0, noProcess(p.PID, err)
	}
	file, err := l.files.open(number)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if runs, err := p.runs(file); err != nil {
		return 0, err
	} else if !runs {
		return 0, fmt.Errorf("process %d: %w", p.PID, errCopied)
	}
	return number, nil
}

func (linux) isGo(p Process) bool {
	f, err := os.Open(p.ExecutablePath())
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	_, err = goexe.Identify(io.NewSectionReader(f, 0, info.Size()))
	return err == nil
}
