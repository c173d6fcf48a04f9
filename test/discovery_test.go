//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

const (
	manyProcesses = 200
	// atATime is how many of them run at the same time.
	atATime = 10
)

// TestManyProcesses starts, redeploys, re-executes and kills short programs, some in namespaces of their own, and looks for the life of
// a goroutine of each, and for what the collector has left behind.
func TestManyProcesses(t *testing.T) {
	testbuild.RequireRoot(t)
	built := testbuild.Program(t, "short", testbuild.Options{})
	dir := t.TempDir()
	b := e2etest.NewBackend(t)
	c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(filepath.Join(dir, "*")), b.Endpoint()))
	before := resources(t, c)

	var mu sync.Mutex
	started := map[int64]string{}
	var all sync.WaitGroup
	slots := make(chan struct{}, atATime)
	for i := range manyProcesses {
		kind := kinds[i%len(kinds)]
		exe := filepath.Join(dir, kind.name)
		if i < len(kinds) || i == manyProcesses/2 {
			redeploy(t, built, exe)
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			cmd := exec.Command(exe, kind.args...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: kind.namespaces}
			if err := cmd.Start(); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			started[int64(cmd.Process.Pid)] = kind.name
			mu.Unlock()
			if kind.killed {
				time.Sleep(1080 * time.Millisecond) // the goroutine has lived for a second, and lives still
				_ = cmd.Process.Kill()
			}
			if err := cmd.Wait(); (err != nil) != kind.killed {
				t.Errorf("%s ended with %v", kind.name, err)
			}
		})
	}
	all.Wait()
	if len(started) != manyProcesses {
		t.Fatalf("%d processes had ids of their own", len(started))
	}
	e2etest.Eventually(t, "all processes to be left", func() bool { return resources(t, c) == before },
		func() string { return fmt.Sprintf("%+v, before %+v", resources(t, c), before) })
	c.Stop()

	workers, late := workersOf(b)
	t.Logf("%d of %d processes had goroutines before they were followed", len(late), manyProcesses)
	if len(late) > manyProcesses/2 { // those that were started before the probes were on a new executable
		t.Error("too few processes were followed from their first goroutine on")
	}
	for pid, name := range started {
		switch w := workers[pid]; {
		case len(w) != 1:
			t.Errorf("process %d (%s) has %d spans of its goroutine", pid, name, len(w))
			for _, s := range w {
				t.Errorf("%s in %s from %v to %v: %v", s.SpanID(), s.TraceID(), s.StartTimestamp().AsTime(), s.EndTimestamp().AsTime(), s.Attributes().AsRaw())
			}
		case !late[pid] && w[0].EndTimestamp().AsTime().Sub(w[0].StartTimestamp().AsTime()) < time.Second:
			t.Errorf("the goroutine of process %d (%s) lived from %v to %v", pid, name, w[0].StartTimestamp().AsTime(), w[0].EndTimestamp().AsTime())
		}
	}
}

// TestFewDescriptors has more executables than the collector may open files for, until it may.
func TestFewDescriptors(t *testing.T) {
	const executables, few = 10, 15 // that the collector may open besides what it has open
	testbuild.RequireRoot(t)
	dir := t.TempDir()
	b := e2etest.NewBackend(t)
	c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(filepath.Join(dir, "*")), b.Endpoint()))
	var enough unix.Rlimit
	limit := func(is *unix.Rlimit, was *unix.Rlimit) {
		if err := unix.Prlimit(c.PID(), unix.RLIMIT_NOFILE, is, was); err != nil {
			t.Fatal(err)
		}
	}
	limit(nil, &enough)
	limit(&unix.Rlimit{Cur: uint64(len(e2etest.OpenFiles(t, c.PID())) + few), Max: enough.Max}, nil)
	built := testbuild.Program(t, "parked", testbuild.Options{})
	goroutines := 0
	for i := range executables {
		exe := filepath.Join(dir, fmt.Sprint(i))
		e2etest.Place(t, built, exe)
		goroutines += len(testbuild.Start(t, exe, "1").Profile())
	}
	c.Await("too many open files")
	limit(&enough, nil)
	e2etest.Eventually(t, fmt.Sprintf("%d goroutines", goroutines), func() bool { return b.Sum("go.goroutine.count") == goroutines },
		func() string { return fmt.Sprintf("there are %d\n%s", b.Sum("go.goroutine.count"), c.Out) })
}

var kinds = []struct {
	name       string
	args       []string
	namespaces uintptr
	killed     bool
}{
	{name: "plain"},
	{name: "executes-itself", args: []string{"-exec"}},
	{name: "killed", killed: true},
	{name: "in-namespaces", namespaces: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS},
}

// redeploy replaces an executable, which may run, by a new file.
func redeploy(t *testing.T, built, exe string) {
	t.Helper()
	e2etest.Place(t, built, exe+".new")
	if err := os.Rename(exe+".new", exe); err != nil {
		t.Fatal(err)
	}
}

// workersOf returns the spans of the goroutine that each process has, by process, and the processes that had goroutines before they were
// followed.
func workersOf(b *e2etest.Backend) (workers map[int64][]ptrace.Span, late map[int64]bool) {
	workers, late = map[int64][]ptrace.Span{}, map[int64]bool{}
	for _, rs := range b.ResourceSpans() {
		pid, _ := rs.Resource().Attributes().Get("process.pid")
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if e2etest.StartFunction(s) == "main.worker" {
					workers[pid.Int()] = append(workers[pid.Int()], s)
				}
				if _, ok := s.Attributes().Get("go.goroutine.preexisting"); ok {
					late[pid.Int()] = true
				}
			}
		}
	}
	return workers, late
}

// left is what a collector holds of the kernel.
type left struct {
	descriptors, links int
}

func resources(t *testing.T, c *e2etest.Collector) left {
	t.Helper()
	return left{descriptors: len(e2etest.OpenFiles(t, c.PID())), links: len(e2etest.Links(t))}
}
