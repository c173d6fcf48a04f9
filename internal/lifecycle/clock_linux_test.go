package lifecycle

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestNow compares the clock with the kernel's, before and after.
func TestNow(t *testing.T) {
	const tolerance = 1000 // ns, for what lies between the two clocks when they were paired
	for range 1000 {
		var before, after unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &before); err != nil {
			t.Fatal(err)
		}
		now := Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &after); err != nil {
			t.Fatal(err)
		}
		if now < before.Nano()-tolerance || now > after.Nano()+tolerance {
			t.Fatalf("it is %d between %d and %d", now, before.Nano(), after.Nano())
		}
	}
}
