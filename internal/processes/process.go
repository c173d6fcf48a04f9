// Package processes finds the processes that a configuration names and what they tell of themselves in /proc.
package processes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// File identifies an executable file: processes that run the same one share its probes. The time of its last change, in ns, tells files
// apart that had the same inode one after the other.
type File struct {
	Device, Inode uint64
	Modified      int64
}

// Process is a running program. A process id may come again, and a process may execute another program: the start time and the
// file tell them apart.
type Process struct {
	PID int
	// StartTime is in clock ticks since boot (field 22 of /proc/PID/stat).
	StartTime uint64
	// Executable is the resolved path, as the process sees it.
	Executable string
	File       File
}

// ExecutablePath returns a path by which the process's executable can be opened, wherever it is and even if it was deleted.
func (p Process) ExecutablePath() string { return fmt.Sprintf("/proc/%d/exe", p.PID) }

// ErrNoProcess is wrapped by the error about a process that does not exist.
var ErrNoProcess = errors.New("no such process")

// deletedSuffix is what the kernel appends to the path of an executable that was removed or replaced.
const deletedSuffix = " (deleted)"

// Read returns what runs as pid.
func Read(pid int) (Process, error) {
	p := Process{PID: pid}
	path, err := os.Readlink(p.ExecutablePath())
	if err != nil {
		return p, noProcess(pid, err)
	}
	p.Executable = strings.TrimSuffix(path, deletedSuffix)
	var st unix.Stat_t
	if err := unix.Stat(p.ExecutablePath(), &st); err != nil {
		return p, noProcess(pid, err)
	}
	p.File = File{Device: uint64(st.Dev), Inode: st.Ino, Modified: st.Mtim.Nano()}
	p.StartTime, err = startTime(pid)
	return p, err
}

func noProcess(pid int, err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: %d", ErrNoProcess, pid)
	}
	return fmt.Errorf("process %d: %w", pid, err)
}

func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, noProcess(pid, err)
	}
	// The second field is the command in parentheses and may hold anything, so fields are counted behind the last parenthesis.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const index = 22 - 3
	if len(fields) <= index {
		return 0, fmt.Errorf("process %d: /proc stat has %d fields", pid, len(fields))
	}
	return strconv.ParseUint(string(fields[index]), 10, 64)
}

// Bias returns how far above its link-time addresses the process's executable lies, whose first page is linked at base.
func (p Process) Bias(base uint64) (uint64, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.PID))
	if err != nil {
		return 0, noProcess(p.PID, err)
	}
	if len(maps) == 0 { // it is ending
		return 0, noProcess(p.PID, os.ErrNotExist)
	}
	for line := range strings.Lines(string(maps)) {
		// address-address permissions offset device inode path
		fields := strings.Fields(line)
		// The inode is not compared: on an overlay it may be that of the file below.
		if len(fields) < 6 || fields[2] != "00000000" {
			continue
		}
		if path := strings.TrimSuffix(strings.Join(fields[5:], " "), deletedSuffix); path != p.Executable {
			continue
		}
		start, _, _ := strings.Cut(fields[0], "-")
		address, err := strconv.ParseUint(start, 16, 64)
		if err != nil {
			return 0, fmt.Errorf("process %d: /proc maps: %w", p.PID, err)
		}
		return address - base, nil
	}
	return 0, fmt.Errorf("process %d: its executable is not mapped", p.PID)
}

// Arguments returns the command line; none for a process that has ended.
func (p Process) Arguments() (arguments []string) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	if err != nil || len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
}

// Environment returns the values that a process was started with of the named variables only.
func (p Process) Environment(names ...string) map[string]string {
	found := map[string]string{}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
	if err != nil {
		return found
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		for _, name := range names {
			if value, ok := bytes.CutPrefix(entry, []byte(name+"=")); ok {
				found[name] = string(value)
			}
		}
	}
	return found
}

// List returns the ids of all processes.
func List() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Name returns the executable's file name.
func (p Process) Name() string { return filepath.Base(p.Executable) }

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
