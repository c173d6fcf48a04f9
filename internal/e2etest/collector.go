//go:build linux

// Package e2etest has what tests of the whole collector share, with the benchmark where that needs the same: it configures and runs the
// built collector, takes what that exports, and knows what the kernel and the programs' own runtimes say of the same.
package e2etest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// Collector is a running otelcol-goroutine.
type Collector struct {
	// Out is what it has logged.
	Out *Buffer

	t   testing.TB
	cmd *exec.Cmd
}

// StartCollector runs the collector with a configuration, and further arguments, until the test ends. It needs root.
func StartCollector(t testing.TB, config *Config, arguments ...string) *Collector {
	t.Helper()
	testbuild.RequireRoot(t)
	file, err := config.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return runCollector(t, exec.Command(binary(t), append([]string{"--config", file}, arguments...)...))
}

// StartAsNobody runs the collector as an ordinary user with some capabilities until the test ends.
func StartAsNobody(t testing.TB, config *Config, capabilities ...uintptr) *Collector {
	t.Helper()
	testbuild.RequireRoot(t)
	dir, err := os.MkdirTemp("", "capabilities") // t.TempDir's parent is not for others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "collector") // the repository may lie where others may not look
	Place(t, binary(t), exe)
	file, err := config.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--config", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: capabilities}
	return runCollector(t, cmd)
}

// nobody is the user id that owns nothing.
const nobody = 65534

// binary returns the path of the collector that "make build" makes.
func binary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(testbuild.Root(), "bin", "otelcol-goroutine")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the collector is not built (make build): %v", err)
	}
	return path
}

func runCollector(t testing.TB, cmd *exec.Cmd) *Collector {
	t.Helper()
	c := &Collector{t: t, cmd: cmd, Out: &Buffer{}}
	c.cmd.Stdout, c.cmd.Stderr = c.Out, c.Out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop()
		if t.Failed() {
			t.Logf("the collector logged:\n%s", c.Out)
		}
	})
	c.Await(Ready)
	time.Sleep(settling)
	return c
}

// Ready is what a collector logs when all its components run.
const Ready = "Everything is ready"

// settling is how long a collector may take from saying that it is ready to heeding SIGTERM.
const settling = 100 * time.Millisecond

// Patience is how long something may take to happen.
const Patience = 20 * time.Second

// PID is its process id.
func (c *Collector) PID() int { return c.cmd.Process.Pid }

// Await waits until the collector has logged something.
func (c *Collector) Await(text string) {
	c.t.Helper()
	Eventually(c.t, fmt.Sprintf("collector to log %q", text), func() bool { return c.Out.Has(text) }, c.Out.String)
}

// Stop ends the collector as a service manager does, and waits for it.
func (c *Collector) Stop() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	hung := time.AfterFunc(Patience, func() { _ = c.cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the collector ended with %v\n%s", err, c.Out)
	}
}

// Eventually waits for a condition. What context returns is shown if it does not come.
func Eventually(t testing.TB, what string, is func() bool, context func() string) {
	t.Helper()
	for end := time.Now().Add(Patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s\n%s", what, context())
		}
	}
}
