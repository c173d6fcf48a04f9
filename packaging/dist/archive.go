package main

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
)

// entry is a file of an archive, from a path or with a content.
type entry struct {
	name, path string
	content    []byte
	mode       int64
}

func entries(paths []string) (all []entry) {
	for _, path := range paths {
		all = append(all, entry{name: filepath.Base(path), path: path})
	}
	return all
}

// writeArchive writes a compressed tar file with one directory. Equal input makes equal archives: no times and users are in it.
func writeArchive(w io.Writer, dir string, files []entry) error {
	compressed := gzip.NewWriter(w)
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		if f.path != "" {
			content, err := os.ReadFile(f.path)
			if err != nil {
				return err
			}
			f.content = content
		}
		header := &tar.Header{Name: dir + "/" + f.name, Mode: cmp.Or(f.mode, 0o644), Size: int64(len(f.content))}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}
