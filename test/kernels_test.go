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

// kernel is that of a Debian release for an architecture.
type kernel struct{ suite, arch, qemu string }

// kernels are 6.1 and 6.12.
var kernels = []kernel{
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
			root := testbuild.Root()
			kernel, tree, env := machine(t, k)
			bin := filepath.Join(root, "bin")
			command(t, ".", env, "go", "test", "-c", "-o", filepath.Join(tree, bin, "check"), ".")
			command(t, filepath.Join(root, "build", "otelcol-goroutine"), env,
				"go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(tree, bin, "otelcol-goroutine"), ".")
			for _, release := range booted {
				exe := testbuild.Program(t, "lifecycle", testbuild.Options{Version: release, Env: env[:1]})
				e2etest.Place(t, exe, filepath.Join(tree, testbuild.Path("lifecycle", testbuild.Options{Version: release})))
			}
			out := command(t, ".", []string{"TIMEOUT=900"}, "vm/boot.sh", kernel, k.arch, tree, filepath.Join(bin, "check"), "-test.v", "-test.run=^TestAgreesWithRuntimeTrace$/^uprobe$/^("+strings.Join(booted, "|")+")$")
			if got := strings.Count(out, "--- PASS: TestAgreesWithRuntimeTrace/uprobe/"); got != len(booted) {
				t.Errorf("%d releases were followed, want %d", got, len(booted))
			}
			t.Log(out)
		})
	}
}

// machine returns a kernel's image, a directory that is to be the initial file system, with only its init yet, and what go builds for the
// architecture with.
func machine(t *testing.T, k kernel) (image, tree string, env []string) {
	t.Helper()
	for _, tool := range []string{k.qemu, "cpio"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("apt-get install qemu-system-x86 qemu-system-arm cpio: %v", err)
		}
	}
	image = filepath.Join(testbuild.Root(), "build", "vm", "linux-"+k.suite+"-"+k.arch)
	if _, err := os.Stat(image); err != nil {
		command(t, ".", nil, "vm/kernel.sh", k.suite, k.arch, image)
	}
	tree, env = t.TempDir(), []string{"GOARCH=" + k.arch, "CGO_ENABLED=0"}
	command(t, "vm/init", env, "go", "build", "-o", filepath.Join(tree, "init"), ".")
	return image, tree, env
}

// onARM64 are tests of packages of the trampolines, by the programs of testdata that they need.
var onARM64 = []struct {
	name, directory, tests string
	programs               map[string][]string // with their releases
}{
	{name: "code", directory: "code", tests: "^(TestARMRecords|TestARMCreationsAndLabels|TestAnARMCreationHasTheStackOfItsCreator|TestARMStacks|TestARMWakingTellsTheChannel|TestNoARMStackCanLeadAway|TestARMDrops)$"},
	{
		name: "inject", directory: "inject", programs: map[string][]string{"exact": {"", "go1.20.14", "go1.26.8"}},
		tests: "^(TestInstall|TestTakeOver|TestUndoOther|TestStubCode|TestStub|TestBreakpointOnJump|TestSuspended)$/^(go.*|geometry|version|running)$",
	},
	{
		name: "engine", programs: map[string][]string{"family": {""}},
		tests: "^TestConformance$/^(CountsAreExact|CreationsAgreeWithMemory|StatesFollowEachOther|TotalsOfALife|ThreadsAndWakers|Labels|Stacks|WholeTrees|Adopt|Repair)$",
	},
}

// TestTrampolinesOnARM64 puts trampolines into programs in a virtual machine for arm64, whose processor has the atomic instructions that they need:
// all changes are seen, by the programs' own measure, and the programs are well while trampolines come and go.
func TestTrampolinesOnARM64(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, c := range onARM64 {
		t.Run(c.name, func(t *testing.T) {
			image, tree, env := machine(t, kernels[0])
			command(t, filepath.Join("..", "internal", "engine", "trampoline", c.directory), env, "go", "test", "-c", "-o", filepath.Join(tree, "check"), ".")
			e2etest.Place(t, "../internal/goexe/layouts.json", filepath.Join(tree, "goexe", "layouts.json")) // as seen from the root
			for name, releases := range c.programs {
				for _, release := range releases {
					exe := testbuild.Program(t, name, testbuild.Options{Version: release, Env: env[:1]})
					e2etest.Place(t, exe, filepath.Join(tree, testbuild.Path(name, testbuild.Options{Version: release})))
				}
			}
			out := command(t, ".", []string{"TIMEOUT=900", "CPU=neoverse-n1"}, "vm/boot.sh", image, "arm64", tree, "/check", "-test.v", "-test.run="+c.tests)
			if !strings.Contains(out, "--- PASS") || strings.Contains(out, "--- SKIP") {
				t.Error("nothing was tested")
			}
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
