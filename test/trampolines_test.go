//go:build linux

package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// requireTrampolines skips where the receiver has none.
func requireTrampolines(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("there are trampolines for amd64 only")
	}
}

// byEngine returns settings of the receiver with an engine, and a budget that handoffs exceed with probes only.
func byEngine(t *testing.T, executable, engine string) e2etest.Receiver {
	t.Helper()
	r := limited(executable, e2etest.Overhead{Budget: 0.4, Host: new(0.0)})
	r.Traces.SamplingRatio = new(0.01) // metrics are looked at: traces of all would keep the collector from reading them
	if err := r.Set("engine: " + engine); err != nil {
		t.Fatal(err)
	}
	return r
}

// engineOf returns what sees the process, as was told last.
func engineOf(b *e2etest.Backend) (engine string) {
	for _, m := range b.Metric("go.goroutine.engine.status") {
		for _, p := range m.Gauge().DataPoints().All() {
			if p.IntValue() == 1 {
				v, _ := p.Attributes().Get("go.goroutine.engine")
				engine = v.Str()
			}
		}
	}
	return engine
}

// isPatched tells whether a process has something else than its file in the places that trampolines take.
func isPatched(t *testing.T, pid int, exe string) bool {
	t.Helper()
	b, err := goexe.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	patches, err := b.Patches()
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	return slices.ContainsFunc(patches, func(p goexe.Patch) bool {
		there := make([]byte, len(p.Code))
		if _, err := memory.ReadAt(there, int64(p.Address)); err != nil {
			t.Fatal(err)
		}
		return !bytes.Equal(there, p.Code)
	})
}

// TestAutoMovesToTrampolines has probes that cost a program too much: it is seen by trampolines then, all of it, and nothing of what was seen
// before is lost.
func TestAutoMovesToTrampolines(t *testing.T) {
	requireTrampolines(t)
	exe := testbuild.Program(t, "handoffs", testbuild.Options{})
	b := e2etest.NewBackend(t)
	p := startHandoffs(t, exe)
	c := e2etest.StartCollector(t, e2etest.Exporting(byEngine(t, exe, "auto"), b.Endpoint()))
	c.Await("Following process")
	p.work(t)
	e2etest.Eventually(t, "the process to have trampolines", func() bool { return engineOf(b) == "trampoline" }, c.Out.String)
	if !isPatched(t, p.PID(), exe) {
		t.Error("the process's code is that of its file")
	}
	before, _ := stretchesTold(b)
	if before == 0 {
		t.Error("what probes have seen is lost")
	}
	done, _ := p.work(t)
	e2etest.Eventually(t, "all handoffs to be told", func() bool {
		seen, _ := stretchesTold(b)
		return seen >= before+uint64(2*done)
	}, func() string {
		seen, _ := stretchesTold(b)
		return fmt.Sprintf("%d intervals of running are told of %d handoffs", seen-before, done)
	})
	if levels := levelsTold(b); !slices.Equal(levels, []string{"full"}) {
		t.Errorf("records tell of the levels %v", levels)
	}
	c.Stop()
	if isPatched(t, p.PID(), exe) {
		t.Error("trampolines are left when the collector has ended")
	}
	if done, _ := p.work(t); done == 0 {
		t.Error("the program does nothing any more")
	}
}

// trace traces a process, of which nothing is wanted, until the end of the test.
func trace(t *testing.T, pid int) {
	t.Helper()
	seized, ended, done := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // which is the tracer; it ends with this goroutine
		seized <- unix.PtraceSeize(pid)
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Millisecond):
				passSignals(pid)
			}
		}
	}()
	if err := <-seized; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(ended)
		<-done
	})
}

// passSignals lets a thread go on that is traced, and has stopped for a signal.
func passSignals(thread int) {
	var status unix.WaitStatus
	if n, err := unix.Wait4(thread, &status, unix.WNOHANG|unix.WALL, nil); err == nil && n == thread && status.Stopped() {
		_ = unix.PtraceCont(thread, int(status.StopSignal()))
	}
}

// TestAutoKeepsProbes has a process that permits no trampolines, as somebody traces it: it is seen by probes, and less of it.
func TestAutoKeepsProbes(t *testing.T) {
	requireTrampolines(t)
	exe := testbuild.Program(t, "handoffs", testbuild.Options{})
	b := e2etest.NewBackend(t)
	p := startHandoffs(t, exe)
	trace(t, p.PID())
	c := e2etest.StartCollector(t, e2etest.Exporting(byEngine(t, exe, "auto"), b.Endpoint()))
	c.Await("Following process")
	p.work(t)
	c.Await("Process does not permit trampolines")
	if !c.Out.Has("traced: it is traced by") {
		t.Errorf("the log does not say why:\n%s", c.Out)
	}
	e2etest.Eventually(t, "less to be seen", func() bool {
		return slices.Contains(levelsTold(b), "fewer_trees") || slices.Contains(levelsTold(b), "windows")
	}, func() string { return fmt.Sprint(levelsTold(b)) })
	if engine := engineOf(b); engine != "uprobe" {
		t.Errorf("it is seen by %q", engine)
	}
	seen, estimated := stretchesTold(b)
	if seen == 0 {
		t.Error("nothing is told of it")
	}
	t.Logf("%d intervals of running are told, %d estimated", seen, estimated)
	if isPatched(t, p.PID(), exe) {
		t.Error("it was patched nevertheless")
	}
}

// TestTrampolinesOnly has a process without any probe, from the start, and one that refuses: it is not followed.
func TestTrampolinesOnly(t *testing.T) {
	requireTrampolines(t)
	dir := t.TempDir()
	b := e2etest.NewBackend(t)
	refuses := testbuild.Program(t, "handoffs", testbuild.Options{Flags: []string{"-gcflags=all=-l"}})
	for exe, name := range map[string]string{testbuild.Program(t, "handoffs", testbuild.Options{}): "one", refuses: "other"} {
		e2etest.Place(t, exe, filepath.Join(dir, name))
	}
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	p := startHandoffs(t, one)
	startHandoffs(t, other)
	c := e2etest.StartCollector(t, e2etest.Exporting(byEngine(t, filepath.Join(dir, "*"), "trampoline"), b.Endpoint()))
	c.Await("Following process")
	c.Await("Process cannot be followed")
	if !isPatched(t, p.PID(), one) {
		t.Error("the process's code is that of its file")
	}
	done, _ := p.work(t)
	e2etest.Eventually(t, "all handoffs to be told", func() bool {
		seen, _ := stretchesTold(b)
		return seen >= uint64(2*done)
	}, func() string {
		seen, estimated := stretchesTold(b)
		return fmt.Sprintf("%d intervals of running are told (%d estimated) of %d handoffs\n%s", seen, estimated, done, c.Out)
	})
	if engine := engineOf(b); engine != "trampoline" {
		t.Errorf("it is seen by %q", engine)
	}
	// A process that starts later is found when it executes its program.
	later := startHandoffs(t, one)
	e2etest.Eventually(t, "the second process to have trampolines", func() bool { return isPatched(t, later.PID(), one) }, c.Out.String)
	if n := strings.Count(c.Out.String(), "Following process"); n != 2 {
		t.Errorf("%d processes are followed", n)
	}
}

// TestTrampolinesWithoutTheKernel has a collector that may use no BPF, as an ordinary user: it finds processes by looking for them.
func TestTrampolinesWithoutTheKernel(t *testing.T) {
	requireTrampolines(t)
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "handoffs", testbuild.Options{})
	b := e2etest.NewBackend(t)
	p := startHandoffs(t, exe)
	c := e2etest.StartAsNobody(t, e2etest.Exporting(byEngine(t, exe, "trampoline"), b.Endpoint()), unix.CAP_SYS_PTRACE, unix.CAP_DAC_OVERRIDE, unix.CAP_CHECKPOINT_RESTORE)
	c.Await("New processes are found by looking at all from time to time")
	c.Await("Following process")
	done, _ := p.work(t)
	e2etest.Eventually(t, "all handoffs to be told", func() bool {
		seen, _ := stretchesTold(b)
		return seen >= uint64(2*done)
	}, c.Out.String)
	later := startHandoffs(t, exe)
	e2etest.Eventually(t, "the second process to have trampolines", func() bool { return isPatched(t, later.PID(), exe) }, c.Out.String)
	c.Stop()
	for _, pid := range []int{p.PID(), later.PID()} {
		if isPatched(t, pid, exe) {
			t.Errorf("trampolines are left in process %d", pid)
		}
	}
}
