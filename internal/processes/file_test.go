//go:build linux

package processes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// copyProgram copies a Go program to a path.
func copyProgram(t *testing.T, to string) string {
	t.Helper()
	content, err := os.ReadFile(testbuild.Program(t, "short", testbuild.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

func newTestFiles(t *testing.T) *files {
	t.Helper()
	all := newFiles()
	t.Cleanup(all.close)
	return all
}

func identified(t *testing.T, all *files, path string) File {
	t.Helper()
	number, err := all.identify(path)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func mountOverlay(t *testing.T, dir, lower string) string {
	t.Helper()
	upper, work, merged := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "merged")
	for _, path := range []string{upper, work, merged} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	return merged
}

// TestFilesOfOverlays has many overlays over one directory, as the containers of one image have, and on one of them a file that was copied
// up.
func TestFilesOfOverlays(t *testing.T) {
	testbuild.RequireRoot(t)
	dir, all := t.TempDir(), newTestFiles(t)
	lower := filepath.Join(dir, "lower")
	want := identified(t, all, copyProgram(t, filepath.Join(lower, "program")))
	var merged string
	for i := range 20 {
		merged = mountOverlay(t, filepath.Join(dir, fmt.Sprint(i)), lower)
		if got := identified(t, all, filepath.Join(merged, "program")); got != want {
			t.Errorf("on overlay %d it is file %d, want %d", i, got, want)
		}
	}
	if len(all.held) != 1 {
		t.Errorf("%d files are held", len(all.held))
	}
	exe := filepath.Join(merged, "program")
	if err := os.Chmod(exe, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := identified(t, all, exe); got == want {
		t.Error("a file that was copied up is still that of the lower directory")
	}
}

func TestFiles(t *testing.T) {
	testbuild.RequireRoot(t)
	dir, all := t.TempDir(), newTestFiles(t)
	exe := copyProgram(t, filepath.Join(dir, "program"))
	want := identified(t, all, exe)
	for name, c := range map[string]struct {
		make func(path string) error
		same bool
	}{
		"touched": {func(path string) error {
			return errors.Join(os.Link(exe, path), os.Chtimes(exe, time.Time{}, time.Now().Add(time.Hour)))
		}, true},
		"hard link": {func(path string) error { return os.Link(exe, path) }, true},
		"symlink":   {func(path string) error { return os.Symlink(exe, path) }, true},
		"moved":     {func(path string) error { return errors.Join(os.Rename(exe, path), os.Link(path, exe)) }, true},
		"bind mount": {func(path string) error {
			t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
			return errors.Join(os.WriteFile(path, nil, 0o755), unix.Mount(exe, path, "", unix.MS_BIND, ""))
		}, true},
		"copy": {func(path string) error {
			copyProgram(t, path)
			return nil
		}, false},
	} {
		path := filepath.Join(dir, name)
		if err := c.make(path); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := identified(t, all, path); (got == want) != c.same {
			t.Errorf("%s: it is file %d, the first is %d", name, got, want)
		}
	}
}

// TestFilesWithoutFrames identifies files where the kernel does not show which pages they share.
func TestFilesWithoutFrames(t *testing.T) {
	dir, all := t.TempDir(), newTestFiles(t)
	exe := copyProgram(t, filepath.Join(dir, "program"))
	link := filepath.Join(dir, "link")
	if err := os.Link(exe, link); err != nil {
		t.Fatal(err)
	}
	want := identified(t, all, exe)
	for _, h := range all.held { // as if its file system maps no files to be shared
		_ = h.page.unmap()
		h.page = nil
	}
	clear(all.stamps)
	if got := identified(t, all, link); got != want {
		t.Errorf("by another name it is file %d, want %d", got, want)
	}
	if got := identified(t, all, copyProgram(t, filepath.Join(dir, "copy"))); got == want {
		t.Error("a copy is the same")
	}
}

// TestInodeGivenAgain removes files and makes new ones, which would get the same inodes if the first were not held.
func TestInodeGivenAgain(t *testing.T) {
	dir, all := t.TempDir(), newTestFiles(t)
	numbers := map[File]bool{}
	const files = 10
	for range files {
		exe := copyProgram(t, filepath.Join(dir, "program"))
		numbers[identified(t, all, exe)] = true
		if err := os.Remove(exe); err != nil {
			t.Fatal(err)
		}
	}
	if len(numbers) != files {
		t.Errorf("%d files have %d numbers", files, len(numbers))
	}
}

func TestFileIsOpenedAsIdentified(t *testing.T) {
	all := newTestFiles(t)
	exe := copyProgram(t, filepath.Join(t.TempDir(), "program"))
	want, err := os.Stat(exe)
	if err != nil {
		t.Fatal(err)
	}
	number := identified(t, all, exe)
	if err := os.Remove(exe); err != nil {
		t.Fatal(err)
	}
	copyProgram(t, exe)
	opened, err := all.open(number)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if got, err := opened.Stat(); err != nil || !os.SameFile(got, want) {
		t.Errorf("another file was opened: %v, %v", got, err)
	}
	all.forget(number)
	if _, err := all.open(number); err == nil {
		t.Error("a file that was forgotten is opened")
	}
}

func TestFilesErrors(t *testing.T) {
	all := newTestFiles(t)
	if _, err := all.identify("/bin/sleep"); !errors.Is(err, goexe.ErrNotGo) || !final(err) {
		t.Errorf("the error is %v", err)
	}
	if _, err := all.identify(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) || final(err) {
		t.Errorf("the error is %v", err)
	}
	all.close()
	if _, err := all.identify(testbuild.Program(t, "short", testbuild.Options{})); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the error is %v", err)
	}
}

// TestCopiedWhileRunning has an overlay copy an executable while a process runs it.
func TestCopiedWhileRunning(t *testing.T) {
	testbuild.RequireRoot(t)
	dir, system := t.TempDir(), newLinux()
	defer system.close()
	lower := filepath.Join(dir, "lower")
	copyProgram(t, filepath.Join(lower, "program"))
	exe := filepath.Join(mountOverlay(t, filepath.Join(dir, "container"), lower), "program")
	run := func() (File, error) {
		p, err := Read(testbuild.Start(t, exe).PID())
		if err != nil {
			t.Fatal(err)
		}
		return system.identify(p)
	}
	first := testbuild.Start(t, exe)
	if _, err := run(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(exe, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := Read(first.PID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := system.identify(p); !errors.Is(err, errCopied) {
		t.Errorf("the process of before is taken for one of the copy: %v", err)
	}
	if _, err := run(); err != nil {
		t.Errorf("a process of the copy: %v", err)
	}
}
