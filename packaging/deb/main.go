// Program deb makes a Debian package of a collector's executable.
//
//	deb -version 0.1.0 -arch amd64 -exe FILE -licenses FILE -sources DIR -out DIR
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

const name = "otelcol-goroutine"

func main() {
	version := flag.String("version", "", "the version of the release")
	arch := flag.String("arch", "", "the architecture of the executable, as Go calls it")
	exe := flag.String("exe", "", "the executable")
	licenses := flag.String("licenses", "", "the file with the licenses of its modules")
	sources := flag.String("sources", "", "the directory of the repository")
	out := flag.String("out", "", "the directory to write to")
	flag.Parse()
	if err := write(*out, packageOf(*version, *arch, *exe, *licenses, *sources)); err != nil {
		fmt.Fprintln(os.Stderr, "deb:", err)
		os.Exit(1)
	}
}

// packageOf describes the package: the executable, a configuration that the administrator may change, and the unit.
func packageOf(version, arch, exe, licenses, sources string) *nfpm.Info {
	debian := filepath.Join(sources, "packaging", "debian")
	info := &nfpm.Info{
		Name: name, Arch: arch, Platform: "linux", Version: version, Section: "admin", Priority: "optional",
		Maintainer:  "The goroutinereceiver authors <maintainers@goroutinereceiver.invalid>",
		Description: "OpenTelemetry Collector that follows goroutines\nIt sees the goroutines of running Go programs from outside and exports metrics, traces and logs.",
		Homepage:    "https://github.com/otelgoroutine/goroutinereceiver", License: "Apache-2.0",
	}
	info.Depends = []string{"init-system-helpers"}
	info.Recommends = []string{"systemd"}
	info.Contents = files.Contents{
		{Source: exe, Destination: "/usr/bin/" + name, FileInfo: &files.ContentFileInfo{Mode: 0o755}},
		{Source: filepath.Join(sources, "packaging", "config.yaml"), Destination: "/etc/" + name + "/config.yaml", Type: files.TypeConfigNoReplace},
		{Source: filepath.Join(debian, name+".service"), Destination: "/lib/systemd/system/" + name + ".service"},
		{Source: filepath.Join(sources, "LICENSE"), Destination: "/usr/share/doc/" + name + "/copyright"},
		{Source: licenses, Destination: "/usr/share/doc/" + name + "/THIRD-PARTY-LICENSES"},
	}
	for _, c := range info.Contents[1:] {
		c.FileInfo = &files.ContentFileInfo{Mode: 0o644}
	}
	info.Scripts = nfpm.Scripts{
		PostInstall: filepath.Join(debian, "postinst"), PreRemove: filepath.Join(debian, "prerm"), PostRemove: filepath.Join(debian, "postrm"),
	}
	return nfpm.WithDefaults(info)
}

func write(dir string, info *nfpm.Info) error {
	f, err := os.Create(filepath.Join(dir, deb.Default.ConventionalFileName(info)))
	if err != nil {
		return err
	}
	if err := deb.Default.Package(info, f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
