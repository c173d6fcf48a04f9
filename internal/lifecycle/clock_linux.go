package lifecycle

import "golang.org/x/sys/unix"

// Now returns the time of CLOCK_MONOTONIC in ns, by which all events are dated.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the kernel always has this clock
	}
	return ts.Nano()
}
