//go:build linux

package processes

import (
	"encoding/binary"
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// page is the first page of a file in memory, empty if the file system maps none. The kernel keeps the pages of an inode once, whatever
// mounts show it, so two files are the same to it if their pages are. The mapping is shared: the kernel puts probes into private ones.
type page []byte

// mapPage maps the first page of a file, and waits until it has been read.
func mapPage(f *os.File) (page, error) { return mapPageAt(f, 0) }

func mapPageAt(f *os.File, offset int64) (page, error) {
	p, err := unix.Mmap(int(f.Fd()), offset, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_ = page(p).load() // where that fails, pages cannot be compared
	return p, nil
}

func (p page) unmap() error {
	if p == nil {
		return nil
	}
	return unix.Munmap(p)
}

// load makes sure that the page is in memory, without touching it: the file may have been cut short.
func (p page) load() error { return unix.Madvise(p, unix.MADV_POPULATE_READ) }

// cached tells whether the page could be had without waiting.
func (p page) cached() bool {
	var resident [1]byte
	_, _, err := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(unsafe.Pointer(&resident)))
	return err == 0 && resident[0]&1 != 0
}

// errFrames is returned where the kernel does not tell which page frames are used: it takes CAP_SYS_ADMIN, and Linux 5.14.
var errFrames = errors.New("page frames are not to be seen")

// shared tells whether a page that was just loaded is the same one as another. It does not wait for the other's file system: if they were
// the same, the other would be in memory too.
func (p page) shared(other page) (bool, error) {
	const attempts = 100 // the kernel may move or reclaim a page meanwhile
	for range attempts {
		if p == nil || other == nil || p.load() != nil {
			return false, errFrames
		}
		if !other.cached() {
			return false, nil
		}
		if other.load() != nil {
			return false, errFrames
		}
		before, err := p.frame()
		if err != nil {
			return false, err
		}
		theirs, err := other.frame()
		if err != nil {
			return false, err
		}
		if after, err := p.frame(); err != nil {
			return false, err
		} else if before == after && before != 0 && theirs != 0 {
			return before == theirs, nil
		}
	}
	return false, errFrames
}

// What /proc/PID/pagemap tells of each page in 8 bytes (Documentation/admin-guide/mm/pagemap.rst of the kernel).
const (
	pagemapEntry = 8
	pagePresent  = 1 << 63
	pageOfFile   = 1 << 61 // not the process's own copy
	pageFrame    = 1<<55 - 1
)

// frame returns the number of the page frame that holds the page, 0 if it was taken out of memory.
func (p page) frame() (uint64, error) {
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return 0, err
	}
	defer pagemap.Close()
	var entry [pagemapEntry]byte
	address := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	if _, err := pagemap.ReadAt(entry[:], int64(address)/int64(os.Getpagesize())*int64(len(entry))); err != nil {
		return 0, err
	}
	e := binary.NativeEndian.Uint64(entry[:])
	switch {
	case e&pagePresent == 0:
		return 0, nil
	case e&pageFrame == 0:
		return 0, errFrames
	}
	return e & pageFrame, nil
}
