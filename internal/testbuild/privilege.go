package testbuild

import (
	"os"
	"testing"
)

// RequireRoot skips a test that cannot attach probes, or look into the memory of other processes; in CI that is a failure. With -short,
// such tests are left out on purpose.
func RequireRoot(t testing.TB) {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("left out by -short: needs root")
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("CI must run the tests as root: probes cannot be attached")
	default:
		t.Skip("NOT TESTED: probes can be attached only by root")
	}
}
