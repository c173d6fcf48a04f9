//go:build linux

package test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestCapabilities runs the collector as an ordinary user with some capabilities.
func TestCapabilities(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "lifecycle", testbuild.Options{})
	for name, c := range map[string]struct {
		capabilities []uintptr
		want         string
	}{
		"those that are documented": {[]uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE}, "Following process"},
		"none":                      {nil, "the collector needs CAP_SYS_ADMIN, CAP_SYS_PTRACE;"},
		"some":                      {[]uintptr{unix.CAP_BPF, unix.CAP_SYS_PTRACE}, "the collector needs CAP_SYS_ADMIN;"},
	} {
		t.Run(name, func(t *testing.T) {
			b := e2etest.NewBackend(t)
			p := testbuild.Start(t, exe, t.TempDir()+"/trace")
			p.Line()
			run := e2etest.StartAsNobody(t, e2etest.Exporting(e2etest.Following(exe), b.Endpoint()), c.capabilities...)
			run.Await(c.want)
			// What cannot work is no reason for the collector to end.
			run.Stop()
			if !run.Out.Has("Everything is ready") {
				t.Errorf("the collector did not run:\n%s", run.Out)
			}
		})
	}
}
