package testbuild

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// stampOf returns what tells whether a program that was built before is still the one that would be built now: go build takes a second for
// each to find that out, which is minutes for all. It is "" if that cannot be told: of programs of the repository's own module, and of such
// that are built with a profile.
func stampOf(dir string, args, env []string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil || slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-pgo=") }) {
		return "", nil
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q\n", runtime.Version(), args, env, os.Getenv("GOFLAGS"))
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		fmt.Fprintf(sum, "%q %d\n%s", path, len(content), content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// stampFile is where the stamp of an executable is kept.
func stampFile(exe string) string { return exe + ".stamp" }

// isBuilt tells whether an executable is there, with a stamp.
func isBuilt(exe, stamp string) bool {
	if stamp == "" {
		return false
	}
	if _, err := os.Stat(exe); err != nil {
		return false
	}
	found, err := os.ReadFile(stampFile(exe))
	return err == nil && string(found) == stamp
}
