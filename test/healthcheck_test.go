//go:build linux

package test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestHealthCheck has the health check extension tell of a process that cannot be followed, until that ends.
func TestHealthCheck(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := filepath.Join(t.TempDir(), "not-go")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	e2etest.Place(t, sleep, exe)
	address := e2etest.Address(t)
	config := e2etest.NewConfig(e2etest.Receiver{Targets: []e2etest.Target{{Executable: exe}}})
	config.Extend("health_check", e2etest.Settings{
		"http":             e2etest.Settings{"endpoint": address, "status": e2etest.Settings{"enabled": true, "path": "/status"}},
		"component_health": e2etest.Settings{"include_permanent_errors": true, "include_recoverable_errors": true, "recovery_duration": "0s"},
	})
	config.Export("debug", nil, "traces", "metrics")
	c := e2etest.StartCollector(t, config, "--feature-gates=+extension.healthcheck.useComponentStatus")
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
	context := func() string { return said + "\n" + c.Out.String() }
	e2etest.Eventually(t, "good health", func() bool { return answers(http.StatusOK) }, context)
	cmd := exec.Command(exe, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	e2etest.Eventually(t, "bad health", func() bool { return answers(http.StatusInternalServerError) }, context)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	e2etest.Eventually(t, "good health again", func() bool { return answers(http.StatusOK) }, context)
}
