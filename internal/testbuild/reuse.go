package testbuild

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// stampOf returns what tells whether a program that was built before is still the one that would be built now: go build takes a second for
// each to find that out, which is minutes for all. It is "" if that cannot be told: of programs of the repository's own module.
func stampOf(dir string, args, env []string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", nil
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q\n", runtime.Version(), args, env, os.Getenv("GOFLAGS"))
	for _, a := range args {
		profile, ok := strings.CutPrefix(a, "-pgo=")
		if !ok {
			continue
		}
		content, err := os.ReadFile(profile)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%d\n%s", len(content), content)
	}
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
