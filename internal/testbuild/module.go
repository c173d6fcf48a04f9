package testbuild

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// Module builds a command of a published module, in the versions of dependencies that the module itself names, and returns the path of
// the executable. flags are further arguments of go build; without any, it is built as it is for production, without debug information.
// It is kept in the repository's build directory: large ones take minutes.
func Module(t testing.TB, module, version, command string, flags ...string) string {
	t.Helper()
	dir := filepath.Join(Root(), "build", "modules")
	exe := filepath.Join(dir, strings.Join(append([]string{path.Base(path.Join(module, command)) + "-" + version}, flags...), ""))
	if flags == nil {
		flags = []string{"-ldflags=-s -w"}
	}
	mu.Lock()
	defer mu.Unlock()
	if _, err := os.Stat(exe); err == nil {
		return exe
	}
	// The module cache is read-only and has no go.sum for other modules than the main one: build a copy as the main module.
	source := filepath.Join(dir, strings.ReplaceAll(module, "/", "_")+"@"+version)
	if err := os.RemoveAll(source); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(source)
	if err := os.CopyFS(source, os.DirFS(download(t, module+"@"+version))); err != nil {
		t.Fatal(err)
	}
	dropLocal(t, source)
	building := exe + ".building"
	cmd := exec.Command("go", append(append([]string{"build", "-mod=mod", "-o", building}, flags...), command)...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build of %s in %s@%s: %v\n%s", command, module, version, err, out)
	}
	if err := os.Rename(building, exe); err != nil {
		t.Fatal(err)
	}
	return exe
}

// dropLocal removes the replacements of a module's go.mod by directories of its repository, which are not part of the module.
func dropLocal(t testing.TB, source string) {
	t.Helper()
	file := filepath.Join(source, "go.mod")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse(file, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Replace {
		if modfile.IsDirectoryPath(r.New.Path) {
			if err := mod.DropReplace(r.Old.Path, r.Old.Version); err != nil {
				t.Fatal(err)
			}
		}
	}
	if data, err = mod.Format(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// download returns the directory of a module in the module cache.
func download(t testing.TB, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod download %s: %v\n%s", module, err, out)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return found.Dir
}
