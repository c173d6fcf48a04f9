package goexe

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestProbedFile analyses a file on which probes are attached already, as another collector's are. The kernel inserts their breakpoints
// also into memory that a program has mapped the file into, if it might run from there.
func TestProbedFile(t *testing.T) {
	testbuild.RequireRoot(t)
	path := patch(t, testbuild.Program(t, "hello", testbuild.Options{}), func(b []byte) []byte { return b })
	before := analysed(t, path)
	var probed []uint64
	for i := range before.symbols.Len() {
		if f, ok := before.symbols.Func(i); ok && (f.Name() == casgstatus || f.Name() == allgadd || f.Name() == waitReasonString) {
			offset, err := before.image.offset(f.Entry)
			if err != nil {
				t.Fatal(err)
			}
			probed = append(probed, offset)
		}
	}
	for _, s := range before.Sites {
		probed = append(probed, s.Offset)
	}
	for _, offset := range probed {
		attach(t, path, offset)
	}
	if private := mapPrivately(t, path); private[probed[0]] != breakpoint {
		t.Fatalf("the probe at %#x is not in a private mapping: the test proves nothing", probed[0])
	}
	after := analysed(t, path)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range file {
		if after.image.data[i] != file[i] {
			t.Fatalf("at %#x the file is read as %#x, not %#x", i, after.image.data[i], file[i])
		}
	}
	if !reflect.DeepEqual(after.Sites, before.Sites) {
		t.Errorf("the sites are %+v, want %+v", after.Sites, before.Sites)
	}
	if after.AllgLen != before.AllgLen || after.AllgPtr != before.AllgPtr || !reflect.DeepEqual(after.WaitReasons, before.WaitReasons) {
		t.Error("the variables are not where they are without probes")
	}
}

// breakpoint is the instruction that the kernel inserts on amd64.
const breakpoint = 0xcc

// attach puts a probe on a file until the test ends.
func attach(t *testing.T, path string, offset uint64) {
	t.Helper()
	number, err := os.ReadFile("/sys/bus/event_source/devices/uprobe/type")
	if err != nil {
		t.Fatal(err)
	}
	kind, err := strconv.ParseUint(strings.TrimSpace(string(number)), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	attr := unix.PerfEventAttr{Type: uint32(kind), Ext1: uint64(uintptr(unsafe.Pointer(name))), Ext2: offset}
	attr.Size = uint32(unsafe.Sizeof(attr))
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		t.Fatalf("attach a probe at %#x: %v", offset, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
}

// mapPrivately maps a file as the dynamic linker does, until the test ends.
func mapPrivately(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(data) })
	return data
}
