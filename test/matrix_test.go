//go:build linux && matrix

package test

import (
	"fmt"
	"go/version"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// mode is a way to build a program.
type mode struct {
	name  string
	flags []string
	cgo   bool
	// profiled tells that the program is built with a profile of the scheduler.
	profiled bool
}

var modes = []mode{
	{name: "default"},
	{name: "-s -w", flags: []string{"-ldflags=-s -w"}},
	{name: "PIE", flags: []string{"-buildmode=pie"}},
	{name: "PIE -s -w", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}},
	{name: "cgo, external link", flags: []string{"-ldflags=-linkmode=external"}, cgo: true},
	{name: "race", flags: []string{"-race"}, cgo: true},
	{name: "-N -l", flags: []string{"-gcflags=all=-N -l"}},
	{name: "PGO", profiled: true},
}

// notRun is what is said of cells that go test -run left out.
const notRun = "not run"

// profiles says since when go build takes -pgo.
const profiles = "go1.21"

// TestMatrix follows the same program built by each release in each way, and keeps the result in docs/matrix.md.
func TestMatrix(t *testing.T) {
	testbuild.RequireRoot(t)
	var table strings.Builder
	table.WriteString("# What is followed\n\n`make test-matrix` builds testdata/lifecycle in each of these ways, follows it on amd64 and compares its " +
		"spans with the trace\nof its own runtime. It writes this table.\n\n| Go |")
	for _, m := range modes {
		fmt.Fprintf(&table, " %s |", m.name)
	}
	table.WriteString("\n|" + strings.Repeat(" --- |", len(modes)+1) + "\n")
	for _, release := range testbuild.Versions {
		fmt.Fprintf(&table, "| %s |", version.Lang(release))
		for _, m := range modes {
			fmt.Fprintf(&table, " %s |", cell(t, release, m))
		}
		table.WriteString("\n")
	}
	t.Log("\n" + table.String())
	if strings.Contains(table.String(), notRun) {
		return
	}
	if err := os.WriteFile(filepath.Join(testbuild.Root(), "docs", "matrix.md"), []byte(table.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// cell tests one way to build, and returns what to say of it.
func cell(t *testing.T, release string, m mode) string {
	if m.profiled && version.Compare(release, profiles) < 0 {
		return "no PGO before Go " + strings.TrimPrefix(profiles, "go")
	}
	ran := false
	ok := t.Run(release+"/"+m.name, func(t *testing.T) {
		ran = true
		o := testbuild.Options{Version: release, Flags: m.flags, Cgo: m.cgo}
		if m.profiled {
			o.Flags = []string{"-pgo=" + testbuild.SchedulerProfile(t, release)}
		}
		agrees(t, release, testbuild.Program(t, "lifecycle", o))
	})
	switch {
	case !ran:
		return notRun
	case !ok:
		return "**differs**"
	}
	return "ok"
}
