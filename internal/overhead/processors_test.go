package overhead

import (
	"runtime"
	"testing"
)

func TestCountList(t *testing.T) {
	for list, want := range map[string]int{"0": 1, "0-3": 4, "0-3,8,10-11": 7, "": 0, "3-1": 0, "a": 0, "0-": 0} {
		if n := countList(list); n != want {
			t.Errorf("%q counts %d, want %d", list, n, want)
		}
	}
}

func TestProcessors(t *testing.T) {
	if n := Processors(); n < runtime.NumCPU() {
		t.Errorf("the machine has %d processors, this process may use %d of them", n, runtime.NumCPU())
	}
}
