//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// usage is what a process takes.
type usage struct {
	cpu         time.Duration
	rss, kernel int64 // bytes; kernel is the memory of BPF maps and programs
	lost        int64 // events
}

// since leaves of what was used before only what does not add up.
func (u usage) since(before usage) usage {
	u.cpu -= before.cpu
	u.lost -= before.lost
	return u
}

// processorTime returns the processor time of a process, 0 if it has ended.
func processorTime(pid int) time.Duration {
	used, err := processes.CPUTime(pid)
	if err != nil {
		return 0
	}
	return used
}

func usageOf(pid int) usage {
	return usage{cpu: processorTime(pid), rss: 1024 * field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:"), kernel: lockedByBPF(pid)}
}

// lockedByBPF returns the memory of all maps and programs that a process holds.
func lockedByBPF(pid int) (sum int64) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	for _, file := range files {
		sum += field(file, "memlock:")
	}
	return sum
}

// field returns the number behind a name in a file of lines.
func field(path, name string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n
		}
	}
	return 0
}
