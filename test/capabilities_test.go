//go:build linux

package test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// nobody is the user id that owns nothing.
const nobody = 65534

// TestCapabilities runs the collector as an ordinary user with some capabilities.
func TestCapabilities(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "lifecycle", testbuild.Options{})
	for name, c := range map[string]struct {
		capabilities []uintptr
		want         string
	}{
		"those in the README": {[]uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE}, "Following process"},
		"none":                {nil, "the collector needs CAP_SYS_ADMIN, CAP_SYS_PTRACE;"},
		"some":                {[]uintptr{unix.CAP_BPF, unix.CAP_SYS_PTRACE}, "the collector needs CAP_SYS_ADMIN;"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			p := testbuild.Start(t, exe, t.TempDir()+"/trace")
			p.Line()
			cmd := asNobody(t, fmt.Sprintf(receiverOf, exe)+fmt.Sprintf(exporterTo, b.Endpoint()), c.capabilities...)
			run := runCollector(t, cmd)
			run.await(c.want)
			// What cannot work is no reason for the collector to end.
			run.stop()
			if !strings.Contains(run.out.String(), "Everything is ready") {
				t.Errorf("the collector did not run:\n%s", run.out)
			}
		})
	}
}
