// Program dist makes of a collector's executables what a release offers: for each an archive, a bill of materials and a table of licenses. Their
// texts are written beside the executable, for packages.
//
//	dist -version 0.1.0 -out DIR -modules DIR EXECUTABLE...
//
// Executables are called NAME_linux_ARCHITECTURE. The modules are those of the distribution's main package, with their licenses in the
// module cache.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	version := flag.String("version", "", "the version of the release")
	out := flag.String("out", "", "the directory to write to")
	modules := flag.String("modules", "", "the directory of the distribution's main package")
	files := flag.String("files", "", "further files for the archives, separated by commas")
	flag.Parse()
	if err := run(*version, *out, *modules, strings.Split(*files, ","), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(version, out, main string, files, executables []string) error {
	directories, err := moduleDirectories(main)
	if err != nil {
		return err
	}
	for _, exe := range executables {
		if err := release(exe, version, out, directories, files); err != nil {
			return fmt.Errorf("%s: %w", exe, err)
		}
	}
	return nil
}

// release writes what belongs to one executable.
func release(exe, version, out string, directories map[string]string, files []string) error {
	name, platform, ok := strings.Cut(filepath.Base(exe), "_")
	if !ok {
		return fmt.Errorf("the name has no platform")
	}
	stem := filepath.Join(out, name+"_"+version+"_"+platform)
	modules, err := modulesOf(exe, directories)
	if err != nil {
		return err
	}
	if err := writeFile(stem+".cdx.json", func(w io.Writer) error { return writeBOM(w, name, version, modules) }); err != nil {
		return err
	}
	if err := writeFile(stem+".licenses.csv", func(w io.Writer) error { return writeReport(w, modules) }); err != nil {
		return err
	}
	legal := texts(modules)
	if err := os.WriteFile(exe+".licenses.txt", []byte(legal), 0o644); err != nil {
		return err
	}
	return writeFile(stem+".tar.gz", func(w io.Writer) error {
		return writeArchive(w, filepath.Base(stem), append([]entry{
			{name: name, path: exe, mode: 0o755},
			{name: "THIRD-PARTY-LICENSES", content: []byte(legal)},
		}, entries(files)...))
	})
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Close()
}
