//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestOverlay follows a program that two overlays have in their lower directory, as containers of one image do, and whose file is deleted in
// both then.
func TestOverlay(t *testing.T) {
	testbuild.RequireRoot(t)
	dir := t.TempDir()
	lower := filepath.Join(dir, "lower")
	makeDirectories(t, lower)
	e2etest.Place(t, testbuild.Program(t, "parked", testbuild.Options{Flags: []string{"-buildmode=pie"}}), filepath.Join(lower, "program"))
	var programs []*testbuild.Running
	want := 0
	for _, container := range []string{"a", "b"} {
		exe := filepath.Join(mountOverlay(t, filepath.Join(dir, container), lower), "program")
		p := testbuild.Start(t, exe, "10")
		programs = append(programs, p)
		if err := os.Remove(exe); err != nil {
			t.Fatal(err)
		}
		want += len(p.Profile())
	}
	b := e2etest.NewBackend(t)
	c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(filepath.Join(dir, "*", "merged", "program")), b.Endpoint()))
	e2etest.Eventually(t, fmt.Sprintf("%d goroutines", want), func() bool { return b.Sum("go.goroutine.count") == want },
		func() string { return fmt.Sprintf("there are %d\n%s", b.Sum("go.goroutine.count"), c.Out) })
	for _, p := range programs {
		p.GoOn()
	}
	e2etest.Eventually(t, "40 goroutines to exit", func() bool { return b.Sum("go.goroutine.exited") == 40 && b.Sum("go.goroutine.count") == want-40 },
		func() string { return fmt.Sprintf("%d have\n%s", b.Sum("go.goroutine.exited"), c.Out) })
}

// TestReplicas follows many containers of one image, and counts what the kernel has attached for them. Then the file is touched in one of
// them, which makes the overlay copy it.
func TestReplicas(t *testing.T) {
	const replicas = 50
	testbuild.RequireRoot(t)
	dir := t.TempDir()
	lower := filepath.Join(dir, "lower")
	makeDirectories(t, lower)
	e2etest.Place(t, testbuild.Program(t, "parked", testbuild.Options{}), filepath.Join(lower, "program"))
	b := e2etest.NewBackend(t)
	c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(filepath.Join(dir, "*", "merged", "program")), b.Endpoint()))
	goroutines, exe := 0, ""
	start := func() {
		goroutines += len(testbuild.Start(t, exe, "1").Profile())
	}
	counted := func() {
		t.Helper()
		e2etest.Eventually(t, fmt.Sprintf("%d goroutines", goroutines), func() bool { return b.Sum("go.goroutine.count") == goroutines },
			func() string { return fmt.Sprintf("there are %d\n%s", b.Sum("go.goroutine.count"), c.Out) })
	}
	attached := 0
	for i := range replicas {
		exe = filepath.Join(mountOverlay(t, filepath.Join(dir, fmt.Sprint(i)), lower), "program")
		start()
		if i == 0 {
			counted()
			attached = linksIn(t, c)
		}
	}
	counted()
	if now := linksIn(t, c); now != attached || attached == 0 {
		t.Errorf("%d probes and other links serve %d replicas, %d one", now, replicas, attached)
	}
	if err := os.Chtimes(exe, time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	start()
	counted()
	if now := linksIn(t, c); now <= attached {
		t.Errorf("%d links serve a file that was copied, too; %d without it", now, attached)
	}
}

// linksIn returns how many links from programs to events of the kernel a collector holds.
func linksIn(t *testing.T, c *e2etest.Collector) (n int) {
	t.Helper()
	for _, what := range e2etest.OpenFiles(t, c.PID()) {
		if strings.Contains(what, "bpf_link") || strings.Contains(what, "bpf-link") || strings.Contains(what, "perf_event") {
			n++
		}
	}
	return n
}

// mountOverlay mounts an overlay in a directory until the test ends and returns where it shows.
func mountOverlay(t *testing.T, dir, lower string) string {
	t.Helper()
	upper, work, merged := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "merged")
	makeDirectories(t, upper, work, merged)
	if err := unix.Mount("overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	return merged
}

func makeDirectories(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
