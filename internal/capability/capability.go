// Package capability tells which of the kernel's capabilities (capabilities(7)) this process has.
package capability

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

var names = map[int]string{
	unix.CAP_BPF: "CAP_BPF", unix.CAP_PERFMON: "CAP_PERFMON", unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN", unix.CAP_SYS_PTRACE: "CAP_SYS_PTRACE",
}

// covered are the capabilities that CAP_SYS_ADMIN stands for (include/linux/capability.h: bpf_capable, perfmon_capable).
var covered = []int{unix.CAP_BPF, unix.CAP_PERFMON}

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
	has := func(bit int) bool { return set>>bit&1 == 1 }
	for _, bit := range needed {
		if !has(bit) && !(has(unix.CAP_SYS_ADMIN) && slices.Contains(covered, bit)) {
			lacking = append(lacking, names[bit])
		}
	}
	return lacking
}
