package overhead

import (
	"os"
	"runtime"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpulist"
)

// Processors returns how many processors of the machine are in use, also if this process may run on some of them only
// (/sys/devices/system/cpu/online, Documentation/admin-guide/cputopology.rst of Linux).
func Processors() int {
	list, err := os.ReadFile("/sys/devices/system/cpu/online")
	if n := countList(string(list)); err == nil && n > 0 {
		return n
	}
	return runtime.NumCPU()
}

// countList returns how many numbers a list has, 0 if it is none.
func countList(list string) int {
	cpus, _ := cpulist.Parse(list)
	return len(cpus)
}
