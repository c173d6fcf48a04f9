package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
		"none":                {nil, "the collector needs CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE;"},
		"some":                {[]uintptr{unix.CAP_BPF, unix.CAP_SYS_PTRACE}, "the collector needs CAP_PERFMON, CAP_SYS_ADMIN;"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			dir, err := os.MkdirTemp("", "capabilities") // t.TempDir's parent is not for others
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			// The repository may lie where others may not look.
			collectorCopy := filepath.Join(dir, "collector")
			if err := exec.Command("cp", filepath.Join(testbuild.Root(), "bin", "otelcol-goroutine"), collectorCopy).Run(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "config.yaml")
			config := fmt.Sprintf(receiverOf, exe) + fmt.Sprintf(exporterTo, b.Endpoint())
			if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
				t.Fatal(err)
			}
			p := testbuild.Start(t, exe, t.TempDir()+"/trace")
			p.Line()
			cmd := exec.Command(collectorCopy, "--config", file)
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
				AmbientCaps: c.capabilities,
			}
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
