//go:build linux

// Package test runs the built collector against real programs. Its tests need root, and the collector of "make build".
package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/otlptest"
	"github.com/otelgoroutine/goroutinereceiver/internal/output"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func newBackend(t testing.TB) *otlptest.Backend {
	t.Helper()
	b, err := otlptest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// collector is a running otelcol-goroutine.
type collector struct {
	t   testing.TB
	cmd *exec.Cmd
	out *output.Buffer
}

// countsTo is the configuration of the OTLP exporter, and the pipelines of what snapshots give, towards an endpoint.
const countsTo = `
exporters:
  otlp_grpc:
    endpoint: %s
    tls: {insecure: true}
service:
  telemetry:
    metrics: {level: none}
  pipelines:
    metrics: {receivers: [goroutine], exporters: [otlp_grpc]}
    logs: {receivers: [goroutine], exporters: [otlp_grpc]}
`

// exporterTo is that with the pipelines of all signals.
const exporterTo = countsTo + `    traces: {receivers: [goroutine], exporters: [otlp_grpc]}
`

// startCollector runs the collector with a configuration, and further arguments, until the test ends.
func startCollector(t testing.TB, config string, arguments ...string) *collector {
	t.Helper()
	testbuild.RequireRoot(t)
	binary := filepath.Join(testbuild.Root(), "bin", "otelcol-goroutine")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("the collector is not built (make build): %v", err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return runCollector(t, exec.Command(binary, append([]string{"--config", file}, arguments...)...))
}

// runCollector runs a collector until the test ends.
func runCollector(t testing.TB, cmd *exec.Cmd) *collector {
	t.Helper()
	c := &collector{t: t, cmd: cmd, out: &output.Buffer{}}
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.stop()
		if t.Failed() {
			t.Logf("the collector logged:\n%s", c.out)
		}
	})
	c.await("Everything is ready")
	time.Sleep(settling)
	return c
}

// settling is how long a collector may take from saying that it is ready to heeding SIGTERM.
const settling = 100 * time.Millisecond

const patience = 20 * time.Second

// await waits until the collector has logged something.
func (c *collector) await(text string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("collector to log %q", text), func() bool { return strings.Contains(c.out.String(), text) },
		func() string { return c.out.String() })
}

// stop ends the collector as a service manager does, and waits for it.
func (c *collector) stop() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	hung := time.AfterFunc(patience, func() { _ = c.cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the collector ended with %v\n%s", err, c.out)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool, context func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s\n%s", what, context())
		}
	}
}

// place copies an executable.
func place(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}
