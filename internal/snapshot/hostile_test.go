//go:build linux

package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// forged is memory of the test's own process that lies about goroutines.
type forged struct {
	length, list uint64
	pointers     []uint64
	memory       []byte // of gs
}

// layout is that of the gs that tests forge.
var layout = &goexe.Layout{
	G:      goexe.GLayout{AtomicStatus: 0, Goid: 8, WaitReason: 16, StartPC: 24, GoPC: 32, WaitSince: 40},
	Status: map[string]uint8{"Gwaiting": 4},
}

const gSize = 48

// forge makes a list of gs with the ids from 1 to distinct, that names each of them equally often.
func forge(t *testing.T, distinct, length int) *forged {
	t.Helper()
	memory, err := unix.Mmap(-1, 0, max(distinct*gSize, pageSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	f := &forged{length: uint64(length), pointers: make([]uint64, length), memory: memory}
	for i := range distinct {
		memory[i*gSize] = 4
		binary.LittleEndian.PutUint64(memory[i*gSize+8:], uint64(i+1))
	}
	for i := range f.pointers {
		f.pointers[i] = uint64(uintptr(unsafe.Pointer(&memory[i%distinct*gSize])))
	}
	f.list = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(f.pointers))))
	t.Cleanup(func() { runtime.KeepAlive(f) })
	return f
}

func (f *forged) source() Source {
	return Source{PID: os.Getpid(), Binary: &goexe.Binary{
		Layout: layout, AllgLen: uint64(uintptr(unsafe.Pointer(&f.length))), AllgPtr: uint64(uintptr(unsafe.Pointer(&f.list))),
	}}
}

// TestRepeatedPointers reads a list that names the same few goroutines millions of times.
func TestRepeatedPointers(t *testing.T) {
	f := forge(t, 3, 2<<20)
	all, err := f.source().Read(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("%d goroutines are read, %v, want 3", len(all), err)
	}
	for i, g := range all {
		if g.GoID != uint64(i+1) {
			t.Errorf("goroutine %d is read as %+v", i+1, g)
		}
	}
}

// TestLimit reads no more of a list than it may, and says so.
func TestLimit(t *testing.T) {
	f := forge(t, 1000, 1000)
	source := f.source()
	source.Limit = 10
	all, err := source.Read(t.Context())
	if !errors.Is(err, ErrTooMany) || len(all) != 10 {
		t.Errorf("%d of 1000 goroutines are read, want 10: %v", len(all), err)
	}
	source.Limit = 1000
	if all, err = source.Read(t.Context()); err != nil || len(all) != 1000 {
		t.Errorf("%d of 1000 goroutines are read: %v", len(all), err)
	}
}

// TestClaimedLength reads a list that claims to be longer than any memory.
func TestClaimedLength(t *testing.T) {
	for _, claimed := range []uint64{16 << 20, 1 << 40, ^uint64(0)} {
		f := forge(t, 10, 10)
		f.length = claimed
		source := f.source()
		source.Limit = 10
		if all, err := source.Read(t.Context()); !errors.Is(err, ErrTooMany) || len(all) != 10 {
			t.Errorf("with a limit of 10, of %d goroutines %d are read: %v", claimed, len(all), err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = f.source().Read(t.Context()) // what is behind the list is unknown: it may be unreadable
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 4*wordSize*MaxGoroutines {
			t.Errorf("%d bytes are allocated for a list that claims to have %d goroutines", n, claimed)
		}
	}
}

// TestCancel stops in the midst of a list.
func TestCancel(t *testing.T) {
	const length = 100_000
	f := forge(t, length, length)
	ctx, cancel := context.WithCancel(t.Context())
	visited := 0
	err := f.source().Each(ctx, func(Goroutine) error {
		visited++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || visited == 0 || visited > bytesPerCall/gSize+1 {
		t.Errorf("%d of %d goroutines are visited after the end: %v", visited, length, err)
	}
	if _, err := f.source().Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended from the beginning: %v", err)
	}
}

// TestMemoryThatNeverComes reads memory that its owner withholds.
func TestMemoryThatNeverComes(t *testing.T) {
	f := forge(t, 1, 1)
	withheld, release := withhold(t)
	f.pointers[0] = uint64(uintptr(unsafe.Pointer(&withheld[0])))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if all, err := f.source().Read(ctx); !errors.Is(err, context.DeadlineExceeded) || len(all) != 0 {
		t.Errorf("%d goroutines are read: %v", len(all), err)
	}
	if _, err := f.source().Read(t.Context()); !errors.Is(err, ErrBlocked) {
		t.Errorf("a second read of the same process: %v", err)
	}
	release()
	for {
		if _, err := f.source().Read(t.Context()); !errors.Is(err, ErrBlocked) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// withhold returns memory that blocks whoever reads it (userfaultfd(2)), and what lets them go on.
func withhold(t *testing.T) (withheld []byte, release func()) {
	t.Helper()
	testbuild.RequireRoot(t)
	memory, err := unix.Mmap(-1, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	// Without UFFD_USER_MODE_ONLY it is of the kernel's reads too, which takes privilege.
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0)
	if errno != 0 {
		t.Fatalf("userfaultfd: %v", errno)
	}
	release = sync.OnceFunc(func() { _ = unix.Close(int(fd)) })
	t.Cleanup(func() {
		release()
		_ = unix.Munmap(memory)
	})
	const (
		api      = 0xaa
		ioAPI    = 0xc018aa3f
		register = 0xc020aa00
		missing  = 1
	)
	ioctl := func(request uintptr, argument []uint64) {
		t.Helper()
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(&argument[0]))); errno != 0 {
			t.Fatalf("userfaultfd: ioctl %#x: %v", request, errno)
		}
	}
	ioctl(ioAPI, []uint64{api, 0, 0})
	ioctl(register, []uint64{uint64(uintptr(unsafe.Pointer(&memory[0]))), pageSize, missing, 0})
	return memory, release
}

// TestForgedPointers reads gs of which not all are where memory is.
func TestForgedPointers(t *testing.T) {
	for _, pointer := range []uint64{0, 8, ^uint64(0), ^uint64(0) - gSize, 1 << 63} {
		f := forge(t, 2, 3)
		f.pointers[2] = pointer
		all, err := f.source().Read(t.Context())
		if err == nil || slices.ContainsFunc(all, func(g Goroutine) bool { return g.GoID == 0 }) {
			t.Errorf("with a g at %#x %+v is read, %v", pointer, all, err)
		}
	}
}
