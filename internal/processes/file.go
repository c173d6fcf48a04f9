//go:build linux

package processes

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// File is an executable file, as a Registry numbers them from 1 on. Processes have the same number if the kernel runs them from the same
// inode: probes on the file are hit by all of them. Mounts of overlays over one directory, hard links and bind mounts show the same
// inode; a copy, and a file that an overlay has copied up, is another.
type File uint64

// stamp is what tells the file system's names of files apart without opening them. The time of the last change of the inode, in ns, is part of it
// since an overlay keeps the number of an inode when it copies the file up, and since a number may be given to another file.
type stamp struct {
	device, inode uint64
	size, changed int64
}

func stampOf(st *unix.Stat_t) stamp {
	return stamp{device: uint64(st.Dev), inode: st.Ino, size: st.Size, changed: st.Ctim.Nano()}
}

// files numbers the executable files of Go programs. It holds each open, so that no other file gets its inode.
type files struct {
	mu     sync.Mutex
	last   File
	held   map[File]*heldFile
	stamps map[stamp]File
	closed bool
}

type heldFile struct {
	*os.File
	stamp
	page   page
	unused time.Time // since when nobody has needed it; zero while somebody does
}

const (
	// linger is for how long a file is held that no process runs: one may be started again at once, and probes stay on the file for some
	// seconds.
	linger = 10 * time.Second
	// maxStamps bounds the memory of stamps, of which a file gets another one whenever its inode is changed.
	maxStamps = 4096
)

func newFiles() *files { return &files{held: map[File]*heldFile{}, stamps: map[stamp]File{}} }

// identify returns the number of the executable file at path. It may wait for the file's file system, and for no other. Its errors are
// those of goexe.Identify, and of the kernel.
func (t *files) identify(path string) (File, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, err
	}
	if number, ok := t.known(stampOf(&st)); ok {
		return number, nil
	}
	f, err := holdFile(path)
	if err != nil {
		return 0, err
	}
	return t.add(f)
}

func (t *files) known(s stamp) (File, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	number, ok := t.stamps[s]
	if ok {
		t.held[number].unused = time.Time{}
	}
	return number, ok
}

// holdFile opens a Go program. What it returns is closed by close.
func holdFile(path string) (f *heldFile, err error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = opened.Close()
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(int(opened.Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat the executable: %w", err)
	}
	if _, err := goexe.Identify(io.NewSectionReader(opened, 0, st.Size)); err != nil {
		return nil, err
	}
	page, err := mapPage(opened)
	if err != nil {
		return nil, fmt.Errorf("map the executable: %w", err)
	}
	return &heldFile{File: opened, stamp: stampOf(&st), page: page}, nil
}

func (f *heldFile) close() error { return errors.Join(f.page.unmap(), f.File.Close()) }

// add returns the number of a file that was opened: that of the same one, which stays open in its place, or a new one.
func (t *files) add(f *heldFile) (File, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, errors.Join(os.ErrClosed, f.close())
	}
	number := t.same(f)
	if number == 0 {
		t.last++
		number = t.last
		t.held[number] = f
	} else {
		_ = f.close()
	}
	if len(t.stamps) >= maxStamps {
		clear(t.stamps)
	}
	t.stamps[f.stamp] = number
	t.held[number].unused = time.Time{}
	return number, nil
}

// same returns the number of the file that is the same as another, 0 if none is.
func (t *files) same(f *heldFile) File {
	for number, h := range t.held {
		if h.size != f.size {
			continue
		}
		same, err := f.page.shared(h.page)
		if err != nil { // this process may not know where pages are; then it may put no probes either
			same = h.device == f.device && h.inode == f.inode
		}
		if same {
			return number
		}
	}
	return 0
}

// open returns another descriptor of a file that is held.
func (t *files) open(number File) (*os.File, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[number]
	if h == nil {
		return nil, fmt.Errorf("executable file %d is not held", number)
	}
	descriptor, err := unix.FcntlInt(h.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the executable: %w", err)
	}
	return os.NewFile(uintptr(descriptor), h.Name()), nil
}

// keep closes the files that nobody has needed for a while.
func (t *files) keep(needed map[File]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for number, h := range t.held {
		switch {
		case needed[number]:
			h.unused = time.Time{}
		case h.unused.IsZero():
			h.unused = time.Now()
		case time.Since(h.unused) >= linger:
			t.drop(number)
		}
	}
}

// forget closes a file at once.
func (t *files) forget(number File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(number)
}

func (t *files) drop(number File) {
	if h := t.held[number]; h != nil {
		_ = h.close() // it was only read
		delete(t.held, number)
		maps.DeleteFunc(t.stamps, func(_ stamp, f File) bool { return f == number })
	}
}

// close closes all files.
func (t *files) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for number := range t.held {
		t.drop(number)
	}
}
