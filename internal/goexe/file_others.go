//go:build !linux

package goexe

import (
	"io"
	"io/fs"
	"os"
)

// mapFile returns the content of a file.
func mapFile(f *os.File, size int) ([]byte, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(f, data)
	return data, err
}

func unmapFile([]byte) error { return nil }

func leaveFile([]byte) {}

func deviceAndInode(fs.FileInfo) (device, inode uint64) { return 0, 0 }
