//go:build linux

// Package capability tells which of the kernel's capabilities (capabilities(7)) this process has.
package capability

import (
	"fmt"
	"math"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

var names = map[int]string{
	unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN", unix.CAP_SYS_PTRACE: "CAP_SYS_PTRACE",
}

// Missing returns the names of those of the needed capabilities that this process does not have.
func Missing(needed ...int) []string { return missing(effective(), needed) }

// effective returns the process's effective capabilities; all if the kernel does not tell, because then it will tell what it refuses.
func effective() (set uint64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return math.MaxUint64
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			if _, err := fmt.Sscanf(strings.TrimSpace(value), "%x", &set); err == nil {
				return set
			}
		}
	}
	return math.MaxUint64
}

func missing(set uint64, needed []int) (lacking []string) {
	for _, bit := range needed {
		if set>>bit&1 == 0 {
			lacking = append(lacking, names[bit])
		}
	}
	return lacking
}
