//go:build matrix

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestARM64 runs TestAgreesWithRuntimeTrace in a virtual machine with a real kernel for arm64: the same collector, the same programs and
// the same comparison, all built for that.
func TestARM64(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, tool := range []string{"qemu-system-aarch64", "cpio"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("apt-get install qemu-system-arm cpio: %v", err)
		}
	}
	kernel := filepath.Join(testbuild.Root(), "build", "vm", "linux-bookworm-arm64")
	if _, err := os.Stat(kernel); err != nil {
		command(t, ".", nil, "vm/kernel.sh", "bookworm", "arm64", kernel)
	}
	tree := t.TempDir()
	env := []string{"GOARCH=arm64", "CGO_ENABLED=0"}
	root := testbuild.Root()
	command(t, "vm/init", env, "go", "build", "-o", filepath.Join(tree, "init"), ".")
	command(t, ".", env, "go", "test", "-c", "-o", filepath.Join(tree, "check"), ".")
	command(t, filepath.Join(root, "build", "otelcol-goroutine"), env,
		"go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(tree, root, "bin", "otelcol-goroutine"), ".")
	for _, release := range compared {
		exe := testbuild.Program(t, "lifecycle", testbuild.Options{Version: release, Env: env[:1]})
		place(t, exe, filepath.Join(tree, testbuild.Path("lifecycle", testbuild.Options{Version: release})))
	}
	out := command(t, ".", []string{"TIMEOUT=900"}, "vm/boot.sh", kernel, "arm64", tree, "/check", "-test.v", "-test.run=TestAgreesWithRuntimeTrace")
	t.Log(out)
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

// place copies an executable.
func place(t *testing.T, from, to string) {
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
