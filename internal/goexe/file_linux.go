package goexe

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapFile returns the content of a file, which is read when it is looked at.
func mapFile(f *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
}

func unmapFile(data []byte) error { return unix.Munmap(data) }

// leaveFile gives back the pages of the file that were looked at: they stay in the kernel's cache, and count for this process again only when it
// looks at them again. That it fails costs nothing else.
func leaveFile(data []byte) { _ = unix.Madvise(data, unix.MADV_DONTNEED) }

// deviceAndInode tell files apart; they are 0 where nobody knows them.
func deviceAndInode(info fs.FileInfo) (device, inode uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return uint64(st.Dev), st.Ino
}
