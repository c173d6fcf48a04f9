//go:build linux

package processes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

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

// SurvivesFirstThread tells whether a process goes on although its first thread has exited, as a C program does that leaves its main
// thread by pthread_exit. When a process ends, all its threads are killed before the first of them exits. One that has taken its SIGKILL
// looks alive for a moment until it begins to exit, so they are looked at twice.
func SurvivesFirstThread(pid int) bool {
	const moment = 20 * time.Millisecond
	if !otherThreadsLive(pid) {
		return false
	}
	time.Sleep(moment)
	return otherThreadsLive(pid)
}

// otherThreadsLive tells whether a process has threads besides its first one, all of which go on.
func otherThreadsLive(pid int) bool {
	directory := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(directory)
	if err != nil {
		return false
	}
	others := 0
	for _, t := range threads {
		if t.Name() == strconv.Itoa(pid) {
			continue
		}
		thread := filepath.Join(directory, t.Name())
		s, err := readStat(thread)
		if err != nil || s.flags&exiting != 0 || killed(thread) {
			return false
		}
		others++
	}
	return others > 0
}

// exiting is the flag of a thread that has begun to exit (PF_EXITING in include/linux/sched.h).
const exiting = 0x4

// killed tells whether a thread has been sent SIGKILL.
func killed(directory string) bool {
	signals, err := strconv.ParseUint(StatusField(directory, "SigPnd"), 16, 64) // it may have ended meanwhile
	return err != nil || signals&(1<<(unix.SIGKILL-1)) != 0
}

// stat is what is wanted of the stat file of a process or thread (proc_pid_stat(5)).
type stat struct {
	state     byte
	flags     uint64
	user      uint64 // clock ticks that its threads were on a CPU in their own code, those that have ended included
	system    uint64 // the same in the kernel
	threads   uint64 // that have not been waited for
	startTime uint64 // in clock ticks since boot
	arguments uint64 // their address; 0 while a program is being executed, and of the kernel's threads
}

func readStat(directory string) (stat, error) {
	content, err := os.ReadFile(directory + "/stat")
	if err != nil {
		return stat{}, err
	}
	s, err := parseStat(content)
	if err != nil {
		return stat{}, fmt.Errorf("%s/stat: %w", directory, err)
	}
	return s, nil
}

func parseStat(content []byte) (s stat, err error) {
	// The second field is the command in parentheses and may hold anything, so fields are counted behind the last parenthesis.
	const counted = 3
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	for number, value := range map[int]*uint64{9: &s.flags, 14: &s.user, 15: &s.system, 20: &s.threads, 22: &s.startTime, 48: &s.arguments} {
		if len(fields) <= number-counted {
			return s, fmt.Errorf("%d fields", len(fields)+counted-1)
		}
		if *value, err = strconv.ParseUint(string(fields[number-counted]), 10, 64); err != nil {
			return s, err
		}
	}
	s.state = fields[0][0]
	return s, nil
}

// LiveThread returns the id of a thread of a process that has not begun to exit: the first one, which is the process's own id, as long as
// that lives. The error wraps ErrNoProcess if there is none.
func LiveThread(pid int) (int, error) {
	directory := fmt.Sprintf("/proc/%d/task", pid)
	if s, err := readStat(filepath.Join(directory, strconv.Itoa(pid))); err == nil && s.flags&exiting == 0 {
		return pid, nil
	}
	threads, err := os.ReadDir(directory)
	if err != nil {
		return 0, noProcess(pid, err)
	}
	for _, t := range threads {
		if s, err := readStat(filepath.Join(directory, t.Name())); err == nil && s.flags&exiting == 0 {
			return strconv.Atoi(t.Name())
		}
	}
	return 0, noProcess(pid, os.ErrNotExist)
}
