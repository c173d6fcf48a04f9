//go:build linux && packaging

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestDeb has systemd install, run and remove the package that "make deb" makes, on an overlay of this machine's root and in a PID
// namespace of its own. The collector there reads the memory of a program, as its configuration says when it is new.
func TestDeb(t *testing.T) {
	testbuild.RequireRoot(t)
	b := e2etest.NewBackend(t)
	exchange := t.TempDir()
	e2etest.Place(t, debianPackage(t), filepath.Join(exchange, "package.deb"))
	e2etest.Place(t, testbuild.Program(t, "parked", testbuild.Options{}), filepath.Join(exchange, "parked"))
	e2etest.Place(t, "debian/install.sh", filepath.Join(exchange, "install.sh"))
	write(t, filepath.Join(exchange, "environment"), "OTLP_ENDPOINT="+b.Endpoint()+"\n")

	told := bootSystemd(t, exchange)
	e2etest.Eventually(t, "the service to count goroutines", func() bool { return b.Sum("go.goroutine.count") > 50 }, told)
	write(t, filepath.Join(exchange, "seen"), "")
	e2etest.Eventually(t, "the package to be removed", func() bool { return strings.HasSuffix(told(), "end\n") }, told)
	for _, want := range []string{
		"enabled enabled",
		"capabilities CapEff:\t0000000000280000", // CAP_SYS_ADMIN and CAP_SYS_PTRACE
		"bounding CapBnd:\t0000000000280000",
		"seccomp Seccomp:\t2",
		"writable no",
		"restarts 0",
		"removed inactive 1 # changed by the administrator",
		"purged 0",
	} {
		if !strings.Contains(told(), want+"\n") {
			t.Errorf("it was not told that %q", want)
		}
	}
	if strings.Contains(told(), "user 0\n") {
		t.Error("the service runs as root")
	}
	if t.Failed() {
		log, _ := os.ReadFile(filepath.Join(exchange, "log"))
		t.Logf("told:\n%s\nlog:\n%s", told(), log)
	}
}

// debianPackage returns the path of the newest package for this machine.
func debianPackage(t *testing.T) string {
	t.Helper()
	version := strings.Replace(os.Getenv("VERSION"), "-", "~", 1) // what follows sorts before the release
	path := filepath.Join(testbuild.Root(), "dist", fmt.Sprintf("otelcol-goroutine_%s_%s.deb", version, runtime.GOARCH))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the package is not built (make test-deb): %v", err)
	}
	return path
}

// bootSystemd runs debian/install.sh under systemd until the test ends, and returns what tells its events.
func bootSystemd(t *testing.T, exchange string) (told func() string) {
	t.Helper()
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Fatalf("the test needs systemd: %v", err)
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "debian/boot.sh", t.TempDir(), exchange)
	out := &e2etest.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("systemd logged:\n%s", out)
		}
	})
	return func() string {
		events, _ := os.ReadFile(filepath.Join(exchange, "events"))
		return string(events)
	}
}
