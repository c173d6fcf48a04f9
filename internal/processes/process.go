//go:build linux

// Package processes finds the processes that a configuration names and what they tell of themselves in /proc.
//
// A Registry lists the machine's processes again and again, and decides which count. It asks in this order, so that nobody waits for what
// does not count: the kernel (ids, paths, control groups), then the process itself (its arguments), and at last the file system of its
// executable, in the background.
//
// Executables are told apart as the kernel tells them when it puts probes on them: by inode. The file systems' own numbers do not do: each
// mount of an overlay has its own for the one file below, and gives a file that it copies up the old one. So the Registry looks at the
// first page of files of the same size: it is the same page frame if and only if the inode is the same. Each file that is in use is held
// open, and is opened for others from there, so that nothing can take its place.
//
// What cannot be used is refused: a file for good if that is the file's own fault (goexe.FileError), everything else, such as a table
// that is full, for a time that doubles from a second to a minute. Of each refusal one word is said.
package processes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running program. A process id may come again, and a process may execute another program: the start time, the execution
// and the file tell them apart.
type Process struct {
	PID int
	// StartTime is in clock ticks since boot (field 22 of /proc/PID/stat).
	StartTime uint64
	// Execution is the address of the process's arguments (field 48 of /proc/PID/stat). The kernel randomizes it at each execution of a
	// program, which keeps the start time.
	Execution uint64
	// Executable is the resolved path, as the process sees it.
	Executable string
	// File is the executable itself, 0 if it was not looked at.
	File File
}

// ErrNoProcess is wrapped by the error about a process that does not exist.
var ErrNoProcess = errors.New("no such process")

// deletedSuffix is what the kernel appends to the path of an executable that was removed or replaced.
const deletedSuffix = " (deleted)"

// Known tells whether anything could be read of the process.
func (p Process) Known() bool { return p.PID != 0 }

// Same tells whether p and q are the same process, which has executed no other program meanwhile.
func (p Process) Same(q Process) bool {
	return p.PID == q.PID && p.StartTime == q.StartTime && p.Execution == q.Execution
}

// Read returns what the kernel itself knows of a process, all but File: no file of another file system is touched, so nothing can make it
// wait.
func Read(pid int) (p Process, err error) {
	p.PID = pid
	directory, path, err := executable(pid)
	if err != nil {
		return p, noProcess(pid, err)
	}
	p.Executable = strings.TrimSuffix(path, deletedSuffix)
	s, err := readStat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return p, noProcess(pid, err)
	}
	p.StartTime = s.startTime
	if s, err = readStat(directory); err != nil {
		return p, noProcess(pid, err)
	}
	p.Execution = s.arguments
	return p, nil
}

// executable returns the directory in /proc that tells of a process, and the path of its executable. A process lives on when its first
// thread has exited, as that of a C program with Go in a library may, but then only the directories of its other threads tell anything.
func executable(pid int) (directory, path string, err error) {
	directory = fmt.Sprintf("/proc/%d", pid)
	path, err = os.Readlink(directory + "/exe")
	if !errors.Is(err, os.ErrNotExist) {
		return directory, path, err
	}
	s, statErr := readStat(directory)
	if statErr != nil || s.state != 'Z' || s.threads < 2 {
		return directory, "", err
	}
	threads, listErr := os.ReadDir(directory + "/task")
	if listErr != nil {
		return directory, "", err
	}
	for _, t := range threads {
		other := directory + "/task/" + t.Name()
		if path, otherErr := os.Readlink(other + "/exe"); otherErr == nil {
			return other, path, nil
		}
	}
	return directory, "", err
}

// Thread returns the id of a thread that has the process's memory: the process's own id, but for a process whose first thread has exited.
func Thread(pid int) (int, error) {
	directory, _, err := executable(pid)
	if err != nil {
		return 0, noProcess(pid, err)
	}
	var thread int
	_, err = fmt.Sscan(filepath.Base(directory), &thread)
	return thread, err
}

// path returns where a file of the process's /proc directory is.
func (p Process) path(name string) string {
	directory, _, _ := executable(p.PID)
	return directory + "/" + name
}

// ExecutablePath returns a path by which the process's executable can be opened, wherever it is and even if it was deleted.
func (p Process) ExecutablePath() string { return p.path("exe") }

func noProcess(pid int, err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: %d", ErrNoProcess, pid)
	}
	return fmt.Errorf("process %d: %w", pid, err)
}

// Name returns the executable's file name.
func (p Process) Name() string { return filepath.Base(p.Executable) }

// maxStrings bounds what is read of a process's arguments, and of its environment: a program is given no more of both together than 6 MiB
// (bprm_stack_limits in fs/exec.c), but a process may let the kernel show any of its memory as them (PR_SET_MM, prctl(2)).
const maxStrings = 6 << 20

// strings returns what a file of the process's /proc directory holds, each string of which ends with a zero; none for a process that has
// ended.
func (p Process) strings(name string) (all []string) {
	file, err := os.Open(p.path(name))
	if err != nil {
		return nil
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxStrings))
	if err != nil || len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
}

// Arguments returns the command line; none for a process that has ended.
func (p Process) Arguments() []string { return p.strings("cmdline") }

// Environment returns the values that a process was started with of the named variables only.
func (p Process) Environment(names ...string) map[string]string {
	found := map[string]string{}
	for _, entry := range p.strings("environ") {
		if name, value, ok := strings.Cut(entry, "="); ok && slices.Contains(names, name) {
			found[name] = strings.Clone(value) // not with all the others
		}
	}
	return found
}

// CPUTime returns how much processor time the threads of a process have used, those that have ended included (CPU-time clocks of processes,
// clock_getcpuclockid(3)).
func CPUTime(pid int) (time.Duration, error) {
	const scheduling = 2 // CPUCLOCK_SCHED
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduling), &used); err != nil {
		return 0, noProcess(pid, err)
	}
	return time.Duration(used.Nano()), nil
}

// tick is the unit of times in /proc/PID/stat: a hundredth of a second on all architectures that Go programs are followed on (USER_HZ).
const tick = 10 * time.Millisecond

// CPUTimes returns how much processor time the process has used in its own code and in the kernel, its threads that have ended included. The
// error wraps ErrNoProcess if it has ended and nothing is left of it.
func (p Process) CPUTimes() (user, system time.Duration, err error) {
	s, err := readStat(fmt.Sprintf("/proc/%d", p.PID))
	if err != nil {
		return 0, 0, noProcess(p.PID, err)
	}
	if s.startTime != p.StartTime {
		return 0, 0, fmt.Errorf("%w: another has the id %d", ErrNoProcess, p.PID)
	}
	return time.Duration(s.user) * tick, time.Duration(s.system) * tick, nil
}
