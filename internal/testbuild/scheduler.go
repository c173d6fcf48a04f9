package testbuild

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// SchedulerProfile returns a CPU profile of a program that keeps the scheduler of a release busy, for so long that the compiler takes the
// scheduler's functions for hot. It is kept until the program is built anew.
func SchedulerProfile(t testing.TB, release string) string {
	t.Helper()
	file := filepath.Join(Root(), "build", "testdata", "scheduler-"+release+".pprof")
	exe := Program(t, "storm", Options{Version: release})
	if isNewer(file, exe) {
		return file
	}
	making := fmt.Sprintf("%s.%d", file, os.Getpid())
	p := Start(t, exe, "8", "1000000", making)
	for range 2 {
		p.Line()
		p.GoOn()
	}
	p.Wait()
	if err := os.Rename(making, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// isNewer tells whether a file is there, and is newer than another.
func isNewer(file, than string) bool {
	is, err := os.Stat(file)
	if err != nil {
		return false
	}
	old, err := os.Stat(than)
	return err == nil && is.ModTime().After(old.ModTime())
}
