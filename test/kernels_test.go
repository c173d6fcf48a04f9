//go:build linux && matrix

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// kernels are those of Debian releases: 6.1 and 6.12.
var kernels = []struct{ suite, arch, qemu string }{
	{"bookworm", "arm64", "qemu-system-aarch64"},
	{"bookworm", "amd64", "qemu-system-x86_64"},
	{"trixie", "amd64", "qemu-system-x86_64"},
}

// booted are the releases that programs in virtual machines are built with: one from before and one from after system calls bypassed
// casgstatus.
var booted = []string{"go1.22.12", testbuild.Newest}

// TestKernels runs TestAgreesWithRuntimeTrace in virtual machines with real kernels: the same collector, the same programs and the same
// comparison, built for their architectures.
func TestKernels(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, k := range kernels {
		t.Run(k.suite+"/"+k.arch, func(t *testing.T) {
			for _, tool := range []string{k.qemu, "cpio"} {
				if _, err := exec.LookPath(tool); err != nil {
					t.Fatalf("apt-get install qemu-system-x86 qemu-system-arm cpio: %v", err)
				}
			}
			root := testbuild.Root()
			kernel := filepath.Join(root, "build", "vm", "linux-"+k.suite+"-"+k.arch)
			if _, err := os.Stat(kernel); err != nil {
				command(t, ".", nil, "vm/kernel.sh", k.suite, k.arch, kernel)
			}
			tree := t.TempDir()
			env := []string{"GOARCH=" + k.arch, "CGO_ENABLED=0"}
			command(t, "vm/init", env, "go", "build", "-o", filepath.Join(tree, "init"), ".")
			bin := filepath.Join(root, "bin")
			command(t, ".", env, "go", "test", "-c", "-o", filepath.Join(tree, bin, "check"), ".")
			command(t, filepath.Join(root, "build", "otelcol-goroutine"), env,
				"go", "build", "-ldflags=-s -w", "-o", filepath.Join(tree, bin, "otelcol-goroutine"), ".")
			for _, release := range booted {
				exe := testbuild.Program(t, "lifecycle", testbuild.Options{Version: release, Env: env[:1]})
				e2etest.Place(t, exe, filepath.Join(tree, testbuild.Path("lifecycle", testbuild.Options{Version: release})))
			}
			out := command(t, ".", []string{"TIMEOUT=900"}, "vm/boot.sh", kernel, k.arch, tree, filepath.Join(bin, "check"), "-test.v", "-test.run=TestAgreesWithRuntimeTrace/("+strings.Join(booted, "|")+")")
			t.Log(out)
		})
	}
}

// command runs a command in a directory and returns what it prints.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}
