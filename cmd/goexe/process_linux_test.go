package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestInspectProcess looks at a process that permits trampolines, and at one whose code was changed by somebody else.
func TestInspectProcess(t *testing.T) {
	testbuild.RequireRoot(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("there are trampolines for amd64 only")
	}
	p := testbuild.Start(t, testbuild.Program(t, "parked", testbuild.Options{}), "3")
	p.Line()
	t.Cleanup(func() { _ = unix.Kill(p.PID(), unix.SIGKILL) }) // it is stopped by then
	look := func() *Process {
		t.Helper()
		r, err := report(fmt.Sprintf("/proc/%d/exe", p.PID()), p.PID())
		if err != nil {
			t.Fatal(err)
		}
		return r.Process
	}
	before := look()
	if before.Reason != "" || len(before.Memory) < 3 {
		t.Fatalf("it is told as %+v", before)
	}
	for _, b := range before.Memory {
		if b.Memory != b.File {
			t.Errorf("of a process that nobody has touched: %+v", b)
		}
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", p.PID()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	at := before.Memory[0]
	if err := unix.Kill(p.PID(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := memory.WriteAt([]byte{0xcc}, int64(at.Address)); err != nil {
		t.Fatal(err)
	}
	after := look()
	if after.Reason != string(engine.RefusedForeignBytes) || !strings.HasPrefix(after.Memory[0].Memory, "cc") {
		t.Errorf("a breakpoint is told as %+v", after)
	}
}
