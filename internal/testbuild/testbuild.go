// Package testbuild builds target programs for tests with real toolchains of many Go versions.
package testbuild

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Versions are the releases of Go that tests compile targets with, one for each minor release that is supported.
var Versions = []string{
	"go1.17.13", "go1.18.10", "go1.19.13", "go1.20.14", "go1.21.13", "go1.22.12", "go1.23.12", "go1.24.13", "go1.25.14", "go1.26.8", "go1.27.4",
}

// Newest is the newest of Versions.
var Newest = Versions[len(Versions)-1]

// Since returns those of Versions that are not older than a release.
func Since(release string) []string {
	return slices.DeleteFunc(slices.Clone(Versions), func(v string) bool { return version.Compare(v, release) < 0 })
}

// Root is the directory of the repository.
var Root = sync.OnceValue(func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
})

// Options say how to build a program.
type Options struct {
	// Version is the toolchain, such as "go1.22.12"; empty for the one that runs the test.
	Version string
	// Flags are further arguments of go build.
	Flags []string
	// Cgo enables cgo, which takes a C compiler.
	Cgo bool
	// Env are further environment variables.
	Env []string
}

var (
	mu    sync.Mutex
	built = map[string]bool{}
)

// Path is where Program puts an executable.
func Path(name string, o Options) string {
	sum := sha256.Sum256([]byte(strings.Join(append(append([]string{name, o.Version, fmt.Sprint(o.Cgo)}, o.Flags...), o.Env...), "\x00")))
	return filepath.Join(Root(), "build", "testdata", name+"-"+o.Version+"-"+hex.EncodeToString(sum[:4]))
}

// Program builds the program in the repository's testdata/name and returns the path of the executable, in the
// repository's build directory. The program's own go.mod, or none, decides about its language version. Where there is no go command, as in
// a virtual machine, the executable must be there already.
func Program(t testing.TB, name string, o Options) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	exe := Path(name, o)
	if built[exe] {
		return exe
	}
	if _, err := exec.LookPath("go"); err != nil {
		if _, err := os.Stat(exe); err != nil {
			t.Fatalf("neither a go command nor the program: %v", err)
		}
		return exe
	}
	if err := os.MkdirAll(filepath.Dir(exe), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := build(exe, filepath.Join(Root(), "testdata", name), o); err != nil {
		t.Fatalf("go build of %s with %s %v: %v", name, o.Version, o.Flags, err)
	}
	built[exe] = true
	return exe
}

// build builds the program in a directory, if what is there already is another.
func build(exe, dir string, o Options) error {
	env := o.environment()
	stamp, err := stampOf(dir, o.Flags, env)
	if err != nil || isBuilt(exe, stamp) {
		return err
	}
	// Tests of other packages may build the same program at the same time, or run it.
	building := fmt.Sprintf("%s.%d", exe, os.Getpid())
	cmd := exec.Command("go", append(append([]string{"build", "-o", building}, o.Flags...), ".")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	if err := os.Rename(building, exe); err != nil {
		return err
	}
	return os.WriteFile(stampFile(exe), []byte(stamp), 0o644)
}

// environment returns what is set for go build, beside what is.
func (o Options) environment() []string {
	env := []string{"GOWORK=off", "CGO_ENABLED=0"}
	if o.Cgo {
		env = append(env, "CGO_ENABLED=1")
	}
	if o.Version != "" {
		env = append(env, "GOTOOLCHAIN="+o.Version)
	}
	return append(append(env, peculiar(o.Version)...), o.Env...)
}

// peculiar returns the environment that the go command of some release needs.
func peculiar(release string) []string {
	switch version.Lang(release) {
	case "go1.17":
		return []string{"GOFLAGS=-tags="} // instead of those in the user's settings, which may have what it does not know
	case "go1.19":
		return []string{"GODEBUG=goindex=0"} // it cannot index a toolchain that lies in the module cache
	}
	return nil
}
