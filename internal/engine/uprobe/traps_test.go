//go:build linux

package uprobe

import (
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
