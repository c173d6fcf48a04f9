// Program image makes a container image of a collector's executables: an OCI layout with one image for each architecture. In an image are
// the executable, the certificates of authorities, a configuration, and nothing else.
//
//	image -version 0.1.0 -out DIR -config FILE -certificates FILE EXECUTABLE...
//
// Executables are called NAME_linux_ARCHITECTURE.
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Where things are in the image.
const (
	executable   = "otelcol-goroutine"
	config       = "etc/otelcol-goroutine/config.yaml"
	certificates = "etc/ssl/certs/ca-certificates.crt"
)

func main() {
	version := flag.String("version", "", "the version of the release")
	out := flag.String("out", "", "the directory of the layout")
	configuration := flag.String("config", "", "the configuration of a collector without arguments")
	authorities := flag.String("certificates", "", "the certificates of authorities")
	flag.Parse()
	if err := write(*out, *version, *configuration, *authorities, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(out, version, configuration, authorities string, executables []string) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, exe := range executables {
		arch := exe[strings.LastIndexByte(exe, '_')+1:]
		image, err := imageOf(exe, arch, version, configuration, authorities)
		if err != nil {
			return fmt.Errorf("%s: %w", exe, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	_, err := layout.Write(out, index)
	return err
}

// imageOf returns the image of one architecture. Equal files make equal images: no time is in it.
func imageOf(exe, arch, version, configuration, authorities string) (v1.Image, error) {
	files, err := archive([]file{{exe, executable, 0o755}, {configuration, config, 0o644}, {authorities, certificates, 0o644}})
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, err
	}
	id, err := layer.DiffID()
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: arch,
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{id}},
		Config: v1.Config{
			Entrypoint: []string{"/" + executable}, Cmd: []string{"--config", "/" + config}, User: "0:0",
			Labels: map[string]string{
				"org.opencontainers.image.title": executable, "org.opencontainers.image.version": version, "org.opencontainers.image.licenses": "Apache-2.0",
				"org.opencontainers.image.source": "https://github.com/otelgoroutine/goroutinereceiver",
			},
		},
	})
}

type file struct {
	from, to string
	mode     int64
}

// archive returns a tar file.
func archive(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		content, err := os.ReadFile(f.from)
		if err != nil {
			return nil, err
		}
		for _, dir := range parents(f.to) {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
				return nil, err
			}
		}
		if err := w.WriteHeader(&tar.Header{Name: f.to, Mode: f.mode, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// parents returns the directories above a file, the outermost first.
func parents(name string) (all []string) {
	for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
		all = append([]string{dir}, all...)
	}
	return all
}
