//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/otlptest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

const (
	fleetReplicas    = 50 // containers of one image
	fleetExecutables = 60
	fleetProcesses   = 1100
)

// fleetPatience is how long all may take to be found and followed: several times what it takes on two shared processors.
const fleetPatience = 90 * time.Second

const fleetReceiver = `
receivers:
  goroutine:
    collection_interval: 2s
    initial_delay: 0s
    targets: [{executable: %[1]s/*/merged/program}, {executable: %[1]s/other/*/program}]
`

// TestFleet follows all at once what a large machine may run: containers of one image, many executables, and many processes.
func TestFleet(t *testing.T) {
	testbuild.RequireRoot(t)
	dir := t.TempDir()
	built := testbuild.Program(t, "parked", testbuild.Options{})
	lower := filepath.Join(dir, "lower")
	makeDirectories(t, lower)
	place(t, built, filepath.Join(lower, "program"))
	var executables []string
	for i := range fleetReplicas {
		executables = append(executables, filepath.Join(mountOverlay(t, filepath.Join(dir, fmt.Sprint(i)), lower), "program"))
	}
	for i := range fleetExecutables - 1 {
		exe := filepath.Join(dir, "other", fmt.Sprint(i), "program")
		place(t, built, exe)
		executables = append(executables, exe)
	}
	startFleet(t, executables)
	b := newBackend(t)
	c := startCollector(t, fmt.Sprintf(fleetReceiver, dir)+fmt.Sprintf(exporterTo, b.Endpoint()))
	for end := time.Now().Add(fleetPatience); counted(b) < fleetProcesses; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("%d processes are followed\n%s", counted(b), c.out)
		}
	}
}

// startFleet runs as many processes as a fleet has until the test ends.
func startFleet(t *testing.T, executables []string) {
	t.Helper()
	stdin, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var all []*exec.Cmd
	t.Cleanup(func() {
		_ = end.Close()
		for _, cmd := range all {
			_ = cmd.Wait()
		}
		_ = stdin.Close()
	})
	for i := range fleetProcesses {
		cmd := exec.Command(executables[i%len(executables)], "0")
		cmd.Stdin = stdin
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
}

// counted returns of how many processes goroutines have been counted.
func counted(b *otlptest.Backend) int {
	pids := map[int64]bool{}
	for _, rm := range b.ResourceMetrics() {
		if pid, ok := rm.Resource().Attributes().Get("process.pid"); ok {
			pids[pid.Int()] = true
		}
	}
	return len(pids)
}
