//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

const (
	fleetReplicas    = 50 // containers of one image
	fleetExecutables = 60
	fleetProcesses   = 1100
)

// fleetPatience is how long all may take to be found and followed: several times what it takes on two shared processors.
const fleetPatience = 90 * time.Second

// TestFleet follows all at once what a large machine may run: containers of one image, many executables, and many processes.
func TestFleet(t *testing.T) {
	testbuild.RequireRoot(t)
	dir := t.TempDir()
	built := testbuild.Program(t, "parked", testbuild.Options{})
	lower := filepath.Join(dir, "lower")
	makeDirectories(t, lower)
	e2etest.Place(t, built, filepath.Join(lower, "program"))
	var executables []string
	for i := range fleetReplicas {
		executables = append(executables, filepath.Join(mountOverlay(t, filepath.Join(dir, fmt.Sprint(i)), lower), "program"))
	}
	for i := range fleetExecutables - 1 {
		exe := filepath.Join(dir, "other", fmt.Sprint(i), "program")
		e2etest.Place(t, built, exe)
		executables = append(executables, exe)
	}
	startFleet(t, executables)
	b := e2etest.NewBackend(t)
	receiver := e2etest.Receiver{CollectionInterval: 2 * time.Second, Targets: []e2etest.Target{
		{Executable: filepath.Join(dir, "*", "merged", "program")}, {Executable: filepath.Join(dir, "other", "*", "program")},
	}}
	c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint()))
	for end := time.Now().Add(fleetPatience); counted(b) < fleetProcesses; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("%d processes are followed\n%s", counted(b), c.Out)
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
func counted(b *e2etest.Backend) int {
	pids := map[int64]bool{}
	for _, rm := range b.ResourceMetrics() {
		if pid, ok := rm.Resource().Attributes().Get("process.pid"); ok {
			pids[pid.Int()] = true
		}
	}
	return len(pids)
}
