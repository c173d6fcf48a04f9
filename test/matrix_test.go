//go:build linux && matrix

package test

import (
	"fmt"
	"go/version"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// mode is a way to build a program.
type mode struct {
	name  string
	flags []string
	cgo   bool
	// profiled tells that the program is built with a profile of the scheduler, plain that no function of the runtime is inlined.
	profiled, plain bool
	// rare tells that the short form leaves it out for trampolines.
	rare bool
}

var modes = []mode{
	{name: "default"},
	{name: "-s -w", flags: []string{"-ldflags=-s -w"}, rare: true},
	{name: "PIE", flags: []string{"-buildmode=pie"}, rare: true},
	{name: "PIE -s -w", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}},
	{name: "cgo, external link", flags: []string{"-ldflags=-linkmode=external"}, cgo: true, rare: true},
	{name: "race", flags: []string{"-race"}, cgo: true},
	{name: "-N -l", flags: []string{"-gcflags=all=-N -l"}, plain: true},
	{name: "PGO", profiled: true},
}

// notRun is what is said of cells that go test -run left out.
const notRun = "not run"

// profiles says since when go build takes -pgo.
const profiles = "go1.21"

// calledSwaps is the release from which on a status is swapped by a call where nothing is inlined, in whose place no trampoline can be.
const calledSwaps = "go1.20"

// TestMatrix follows the same program built by each release in each way, by each engine, and keeps the result in docs/matrix.md.
func TestMatrix(t *testing.T) {
	testbuild.RequireRoot(t)
	var table strings.Builder
	table.WriteString("# What is followed\n\n`make test-matrix` builds testdata/lifecycle in each of these ways, follows it on amd64 with probes and with " +
		"trampolines, and compares\nits spans with the trace of its own runtime. It writes this table.\n\n| Go |")
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
	said := "ok"
	for _, engine := range engines {
		if engine != "uprobe" && m.rare && os.Getenv("MATRIX") == "short" {
			return notRun
		}
		ran := false
		refused := engine != "uprobe" && m.plain && version.Compare(release, calledSwaps) >= 0
		ok := t.Run(release+"/"+m.name+"/"+engine, func(t *testing.T) {
			ran = true
			exe := m.build(t, release)
			if refused {
				hasNoPatches(t, exe)
				return
			}
			agrees(t, engine, release, exe)
		})
		switch {
		case !ran:
			return notRun
		case !ok:
			said = "**differs**"
		case refused && said == "ok":
			said = "ok, with probes only"
		}
	}
	return said
}

func (m mode) build(t *testing.T, release string) string {
	t.Helper()
	o := testbuild.Options{Version: release, Flags: m.flags, Cgo: m.cgo}
	if m.profiled {
		o.Flags = []string{"-pgo=" + testbuild.SchedulerProfile(t, release)}
	}
	return testbuild.Program(t, "lifecycle", o)
}

// hasNoPatches checks that trampolines refuse an executable, and say why.
func hasNoPatches(t *testing.T, exe string) {
	t.Helper()
	b, err := goexe.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Patches(); err == nil || !strings.Contains(err.Error(), "-l") {
		t.Errorf("the status is swapped by a call, but the patches' error is %v", err)
	}
}
