package lifecycle

import (
	"time"

	"golang.org/x/sys/unix"
)

// Go's own monotonic clock is CLOCK_MONOTONIC with an offset of its own (runtime.nanotime1 in runtime/sys_linux_*.s), and can be read without
// a system call.
var goBegan, kernelBegan = pairOfClocks()

// pairOfClocks reads both clocks at the same time, as far as that is possible.
func pairOfClocks() (began time.Time, kernel int64) {
	const attempts = 10
	shortest := time.Duration(1<<63 - 1)
	for range attempts {
		var ts unix.Timespec
		before := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			panic(err) // the kernel always has this clock
		}
		if took := time.Since(before); took < shortest {
			shortest, began, kernel = took, before, ts.Nano()-int64(took/2)
		}
	}
	return began, kernel
}

// Now returns the time of CLOCK_MONOTONIC in ns, by which all events are dated.
func Now() int64 { return kernelBegan + int64(time.Since(goBegan)) }
