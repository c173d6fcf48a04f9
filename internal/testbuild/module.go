package testbuild

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// Module is BuildModule for tests.
func Module(t testing.TB, module, version, command string, flags ...string) string {
	t.Helper()
	exe, err := BuildModule(module, version, command, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// BuildModule builds a command of a published module, in the versions of dependencies that the module itself names, and returns the path of
// the executable. flags are further arguments of go build; without any, it is built as it is for production, without debug information.
// It is kept in the repository's build directory: large ones take minutes.
func BuildModule(module, version, command string, flags ...string) (string, error) {
	dir := filepath.Join(Root(), "build", "modules")
	exe := filepath.Join(dir, strings.Join(append([]string{path.Base(path.Join(module, command)) + "-" + version}, flags...), ""))
	if flags == nil {
		flags = []string{"-ldflags=-s -w"}
	}
	mu.Lock()
	defer mu.Unlock()
	if _, err := os.Stat(exe); err == nil {
		return exe, nil
	}
	source := filepath.Join(dir, strings.ReplaceAll(module, "/", "_")+"@"+version)
	defer os.RemoveAll(source)
	if err := copyModule(module+"@"+version, source); err != nil {
		return "", err
	}
	building := exe + ".building"
	cmd := exec.Command("go", append(append([]string{"build", "-mod=mod", "-o", building}, flags...), command)...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of %s in %s@%s: %w\n%s", command, module, version, err, out)
	}
	return exe, os.Rename(building, exe)
}

// copyModule copies a module so that it can be the main one: the module cache is read-only and has no go.sum for others than that.
func copyModule(module, to string) error {
	from, err := download(module)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return dropLocal(filepath.Join(to, "go.mod"))
}

// dropLocal removes the replacements of a go.mod by directories of its repository, which are not part of the module.
func dropLocal(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	mod, err := modfile.Parse(file, data, nil)
	if err != nil {
		return err
	}
	for _, r := range mod.Replace {
		if modfile.IsDirectoryPath(r.New.Path) {
			if err := mod.DropReplace(r.Old.Path, r.Old.Version); err != nil {
				return err
			}
		}
	}
	if data, err = mod.Format(); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

// download returns the directory of a module in the module cache.
func download(module string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w\n%s", module, err, out)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("what go mod download says of %s: %w", module, err)
	}
	return found.Dir, nil
}
