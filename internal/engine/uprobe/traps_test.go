//go:build linux

package uprobe

import (
	"os/exec"
	"runtime"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestMeasureTraps(t *testing.T) {
	testbuild.RequireRoot(t)
	traps, err := MeasureTraps()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(traps)
	if traps[goexe.Emulated] <= 0 || traps[goexe.SingleStepped] <= traps[goexe.Emulated] {
		t.Errorf("%v: a single-stepped instruction takes more than one that is emulated, and both take time", traps)
	}
}

// What else the machine does must not make traps look as if they cost more.
func TestMeasureTrapsBesideLoad(t *testing.T) {
	testbuild.RequireRoot(t)
	alone, err := MeasureTraps()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * runtime.NumCPU() {
		busy := exec.Command("sh", "-c", "while :; do :; done")
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		defer busy.Wait()
		defer busy.Process.Kill()
	}
	beside, err := MeasureTraps()
	if err != nil {
		t.Fatal(err)
	}
	for kind, cost := range alone {
		if beside[kind] > 2*cost {
			t.Errorf("%s costs %v beside other load, %v without", kind, beside[kind], cost)
		}
	}
}
