package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
)

// offered is where "make dist" puts what a release offers.
const offered = "../../dist"

// limit is how large the executable may be, in bytes.
const limit = 45_000_000

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// permissive are the licenses that the project distributes.
var permissive = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "Zlib"}

func stem(arch string) string {
	return fmt.Sprintf("otelcol-goroutine_%s_linux_%s", os.Getenv("VERSION"), arch)
}

// TestDist looks at what "make dist" has made.
func TestDist(t *testing.T) {
	if os.Getenv("VERSION") == "" || os.Getenv("ARCHITECTURES") == "" {
		t.Fatal("run it by make test-dist")
	}
	for _, arch := range strings.Fields(os.Getenv("ARCHITECTURES")) {
		t.Run(arch, func(t *testing.T) {
			files := unpack(t, filepath.Join(offered, stem(arch)+".tar.gz"))
			exe := files["otelcol-goroutine"]
			isStatic(t, exe, machines[arch])
			if len(exe) > limit {
				t.Errorf("the executable has %d bytes, want at most %d", len(exe), limit)
			}
			for _, name := range []string{"LICENSE", "README.md", "THIRD-PARTY-LICENSES", "config.yaml"} {
				if len(files[name]) == 0 {
					t.Errorf("the archive has no %s", name)
				}
			}
			for _, holder := range []string{"Uber Technologies", "The Go Authors", "Nathan Sweet"} {
				if !bytes.Contains(files["THIRD-PARTY-LICENSES"], []byte(holder)) {
					t.Errorf("the licenses do not name %s", holder)
				}
			}
			billIsComplete(t, filepath.Join(offered, stem(arch)+".cdx.json"), filepath.Join(offered, stem(arch)+".licenses.csv"))
			runs(t, arch, files)
		})
	}
	sumsAreRight(t)
}

// unpack returns the files of an archive by their names.
func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	compressed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[filepath.Base(header.Name)], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

func isStatic(t *testing.T, exe []byte, machine elf.Machine) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(exe))
	if err != nil {
		t.Fatal(err)
	}
	if f.Machine != machine {
		t.Errorf("it is for %v", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Error("the executable is not static")
		}
	}
}

// billIsComplete compares the bill of materials with the report on licenses, and both with what is known to be in the executable or not.
func billIsComplete(t *testing.T, bill, report string) {
	t.Helper()
	f, err := os.Open(bill)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(f, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	table, err := os.Open(report)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	rows, err := csv.NewReader(table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range *bom.Components {
		names = append(names, c.Name)
		for _, l := range *c.Licenses {
			if !slices.Contains(permissive, l.License.ID) {
				t.Errorf("%s has the license %s", c.Name, l.License.ID)
			}
		}
	}
	if len(rows) != len(names)+1 {
		t.Errorf("the report has %d rows, the bill %d components", len(rows), len(names))
	}
	for _, module := range []string{"std", "github.com/cilium/ebpf", "github.com/otelgoroutine/goroutinereceiver"} {
		if !slices.Contains(names, module) {
			t.Errorf("the bill has no %s", module)
		}
	}
	for _, name := range names {
		if strings.HasPrefix(name, "github.com/aws/aws-sdk-go-v2/service/ec2") || name == "k8s.io/api" {
			t.Errorf("%s is in the slim distribution", name)
		}
	}
}

// runs looks at the version, and has the executable check the configuration that comes with it.
// emulators run executables for other machines than this, as Debian's package qemu-user-static names them.
var emulators = map[string]string{"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}

// running returns a command that runs an executable, on whatever machine.
func running(t *testing.T, arch, exe string, args ...string) *exec.Cmd {
	t.Helper()
	if arch == runtime.GOARCH {
		return exec.Command(exe, args...)
	}
	emulator, err := exec.LookPath(emulators[arch])
	if err != nil {
		t.Fatalf("the test needs qemu-user-static: %v", err)
	}
	return exec.Command(emulator, append([]string{exe}, args...)...)
}

func runs(t *testing.T, arch string, files map[string][]byte) {
	t.Helper()
	exe, config := filepath.Join(t.TempDir(), "collector"), filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(exe, files["otelcol-goroutine"], 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, files["config.yaml"], 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := running(t, arch, exe, "--version").CombinedOutput()
	if want := "otelcol-goroutine version " + os.Getenv("VERSION"); err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("it says %q, want %q (%v)", out, want, err)
	}
	if out, err := running(t, arch, exe, "validate", "--config", config).CombinedOutput(); err != nil {
		t.Errorf("the configuration that comes with it: %v\n%s", err, out)
	}
}

func sumsAreRight(t *testing.T) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(offered, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		data, err := os.ReadFile(filepath.Join(offered, name))
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); err != nil || got != sum {
			t.Errorf("%s has the sum %s, want %s (%v)", name, got, sum, err)
		}
		if strings.Contains(name, os.Getenv("VERSION")) {
			files++
		}
	}
	if want := 3 * len(strings.Fields(os.Getenv("ARCHITECTURES"))); files < want {
		t.Errorf("%d files of the release have sums, want %d", files, want)
	}
}

// TestUnknownLicense refuses a module without a license that is known.
func TestUnknownLicense(t *testing.T) {
	dir := t.TempDir()
	m := module{path: "example.com/none"}
	if err := m.findLicenses(dir); err == nil {
		t.Error("a module without a license is taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte("All rights reserved."), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.findLicenses(dir); err == nil {
		t.Error("a license that is not known is taken")
	}
}
