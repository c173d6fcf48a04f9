//go:build linux

package ring

import (
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"runtime"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpulist"
)

// Rings returns how many rings there must be on this machine, and which of them are written to.
func Rings() (n uint32, used []int, err error) { return rings(os.DirFS("/sys"), runtime.GOARCH) }

// rings does that for an architecture. An arm64 processor does not tell a program its CPU: there, threads are spread over as many rings as there
// are CPUs, or some more, as it must be a power of two.
func rings(sys fs.FS, arch string) (n uint32, used []int, err error) {
	online, err := readCPUs(sys, "online")
	if err != nil {
		return 0, nil, err
	}
	if arch == "arm64" {
		n = 1 << bits.Len(uint(max(len(online), 2)-1))
		for i := range n {
			used = append(used, int(i))
		}
		return n, used, nil
	}
	possible, err := readCPUs(sys, "possible")
	if err != nil {
		return 0, nil, err
	}
	return uint32(slices.Max(possible)) + 1, online, nil
}

// readCPUs reads one of the kernel's lists of CPUs.
func readCPUs(sys fs.FS, which string) ([]int, error) {
	list, err := fs.ReadFile(sys, "devices/system/cpu/"+which)
	if err != nil {
		return nil, err
	}
	cpus, err := cpulist.Parse(string(list))
	if err != nil {
		return nil, err
	}
	if n := slices.Max(cpus); n >= maxCPUs {
		return nil, fmt.Errorf("CPU %d: there are records of those below %d only", n, maxCPUs)
	}
	return cpus, nil
}
