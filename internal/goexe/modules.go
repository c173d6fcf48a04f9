package goexe

import (
	"debug/buildinfo"
	"slices"
	"strings"
)

// Modules are the paths of the modules that a program was built of.
type Modules struct {
	// Main is that of the main package, empty if the toolchain has not recorded it.
	Main string
	// Dependencies are the others.
	Dependencies []string
}

func modulesOf(info *buildinfo.BuildInfo) Modules {
	m := Modules{Main: info.Main.Path}
	for _, d := range info.Deps {
		m.Dependencies = append(m.Dependencies, d.Path)
	}
	return m
}

// Own tells whether a function, as linked, is of the program's own module, and not of the standard library or of another module. Of a module
// inside another, the inner one has a package.
func (m Modules) Own(function string) bool {
	path := strings.ReplaceAll(packageOf(function), "%2e", ".") // the linker escapes dots of a path's last element
	if path == "main" {
		return true
	}
	return within(path, m.Main) && !slices.ContainsFunc(m.Dependencies, func(d string) bool {
		return len(d) > len(m.Main) && within(path, d)
	})
}

// within tells whether a package is of a module, by their paths.
func within(path, module string) bool {
	rest, ok := strings.CutPrefix(path, module)
	return ok && module != "" && (rest == "" || rest[0] == '/')
}
