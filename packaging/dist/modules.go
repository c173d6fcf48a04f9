package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// module is one that an executable was built of.
type module struct {
	path, version string
	// licenses are SPDX identifiers.
	licenses []string
	// texts are the license files, and what else the license demands to hand on.
	texts []string
}

// moduleDirectories returns where the modules of a main package are on this machine, by their paths.
func moduleDirectories(main string) (map[string]string, error) {
	cmd := exec.Command("go", "list", "-m", "-json=Path,Dir", "all")
	cmd.Dir = main
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m all in %s: %w", main, err)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	directories := map[string]string{"std": strings.TrimSpace(string(root))}
	for list := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m struct{ Path, Dir string }
		switch err := list.Decode(&m); {
		case errors.Is(err, io.EOF):
			return directories, nil
		case err != nil:
			return nil, fmt.Errorf("go list -m all: %w", err)
		}
		directories[m.Path] = m.Dir
	}
}

// modulesOf returns the modules in an executable, the standard library among them, sorted by path. One without a known license is an error.
func modulesOf(exe string, directories map[string]string) ([]module, error) {
	info, err := buildinfo.ReadFile(exe)
	if err != nil {
		return nil, err
	}
	all := []module{{path: "std", version: info.GoVersion}}
	for _, d := range info.Deps {
		all = append(all, module{path: d.Path, version: versionOf(d)})
	}
	for i := range all {
		if err := all[i].findLicenses(directories[all[i].path]); err != nil {
			return nil, fmt.Errorf("module %s: %w", all[i].path, err)
		}
	}
	slices.SortFunc(all, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return all, nil
}

// versionOf returns the version that was built; a module that is replaced by a directory has only the one that was asked for.
func versionOf(d *debug.Module) string {
	if d.Replace != nil && d.Replace.Version != "" {
		return d.Replace.Version
	}
	return d.Version
}

// findLicenses reads the license files of the module's root directory.
func (m *module) findLicenses(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.IsDir() || !isLegal(f.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		m.texts = append(m.texts, string(text))
		if strings.HasPrefix(f.Name(), "PATENTS") {
			continue // a grant beside the license
		}
		for _, match := range licensecheck.Scan(text).Match {
			if !slices.Contains(m.licenses, match.ID) {
				m.licenses = append(m.licenses, match.ID)
			}
		}
	}
	if len(m.licenses) == 0 {
		return fmt.Errorf("no license is found in %s", dir)
	}
	slices.Sort(m.licenses)
	return nil
}

// isLegal tells whether a file by its name is a license, or a notice that comes with one.
func isLegal(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"}, func(word string) bool { return strings.HasPrefix(name, word) })
}
