package overhead

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Processors returns how many processors of the machine are in use, also if this process may run on some of them only
// (/sys/devices/system/cpu/online, Documentation/admin-guide/cputopology.rst of Linux).
func Processors() int {
	list, err := os.ReadFile("/sys/devices/system/cpu/online")
	if n := countList(strings.TrimSpace(string(list))); err == nil && n > 0 {
		return n
	}
	return runtime.NumCPU()
}

// countList returns how many numbers a list such as 0-3,8 has, 0 if it is none.
func countList(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, errFrom := strconv.Atoi(first)
		to, errTo := strconv.Atoi(last)
		if errFrom != nil || errTo != nil || to < from {
			return 0
		}
		n += to - from + 1
	}
	return n
}
