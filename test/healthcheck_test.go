//go:build linux

package test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

const healthCheckConfig = `
receivers:
  goroutine: {targets: [{executable: %s}]}
extensions:
  health_check:
    http: {endpoint: %q, status: {enabled: true, path: /status}}
    component_health: {include_permanent_errors: true, include_recoverable_errors: true, recovery_duration: 0s}
exporters:
  debug:
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [goroutine], exporters: [debug]}
    metrics: {receivers: [goroutine], exporters: [debug]}
`

// TestHealthCheck has the health check extension tell of a process that cannot be followed, until that ends.
func TestHealthCheck(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := filepath.Join(t.TempDir(), "not-go")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	place(t, sleep, exe)
	address := freeAddress(t)
	c := startCollector(t, fmt.Sprintf(healthCheckConfig, exe, address), "--feature-gates=+extension.healthcheck.useComponentStatus")
	var said string
	answers := func(want int) bool {
		response, err := http.Get("http://" + address + "/status?verbose")
		if err != nil {
			said = err.Error()
			return false
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		said = fmt.Sprintf("%s %s", response.Status, body)
		return response.StatusCode == want
	}
	context := func() string { return said + "\n" + c.out.String() }
	eventually(t, "good health", func() bool { return answers(http.StatusOK) }, context)
	cmd := exec.Command(exe, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	eventually(t, "bad health", func() bool { return answers(http.StatusInternalServerError) }, context)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, "good health again", func() bool { return answers(http.StatusOK) }, context)
}
