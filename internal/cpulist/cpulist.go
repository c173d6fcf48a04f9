// Package cpulist reads the kernel's lists of CPUs (Documentation/admin-guide/cputopology.rst of Linux).
package cpulist

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse returns the numbers in a list such as 0-3,8. They have at most 16 bits.
func Parse(list string) (cpus []int, err error) {
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, errFrom := strconv.ParseUint(first, 10, 16)
		to, errTo := strconv.ParseUint(last, 10, 16)
		if errFrom != nil || errTo != nil || to < from {
			return nil, fmt.Errorf("CPUs %q: not a list of numbers", list)
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	return cpus, nil
}
