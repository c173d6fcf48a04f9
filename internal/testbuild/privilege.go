package testbuild

import (
	"os"
	"testing"
)

// RequireRoot skips a test that cannot attach probes; in CI that is a failure.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("CI must run the tests as root: probes cannot be attached")
	}
	t.Skip("NOT TESTED: probes can be attached only by root")
}
