package testbuild

import (
	"path/filepath"
	"testing"
)

// SchedulerProfile returns a CPU profile of a program that keeps the scheduler of a release busy, for so long that the compiler takes the
// scheduler's functions for hot.
func SchedulerProfile(t testing.TB, release string) string {
	t.Helper()
	file := filepath.Join(Root(), "build", "testdata", "scheduler-"+release+".pprof")
	p := Start(t, Program(t, "storm", Options{Version: release}), "8", "1000000", file)
	for range 2 {
		p.Line()
		p.GoOn()
	}
	p.Wait()
	return file
}
