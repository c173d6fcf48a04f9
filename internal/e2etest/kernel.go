//go:build linux

package e2etest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Links returns the ids of all BPF links in the kernel. It asks the kernel itself, so that the tests judge probes independently of the
// library that attaches them.
func Links(t testing.TB) map[uint32]bool {
	t.Helper()
	ids := map[uint32]bool{}
	next := struct{ start, next, flags uint32 }{} // of union bpf_attr in linux/bpf.h
	for {
		_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_GET_NEXT_ID, uintptr(unsafe.Pointer(&next)), unsafe.Sizeof(next))
		if errno == unix.ENOENT {
			return ids
		}
		if errno != 0 {
			t.Fatalf("BPF_LINK_GET_NEXT_ID: %v", errno)
		}
		ids[next.next] = true
		next.start = next.next
	}
}

// OpenFiles returns what the file descriptors of a process are.
func OpenFiles(t testing.TB, pid int) (files []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		file, err := os.Readlink(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}
