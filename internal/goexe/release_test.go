package goexe

import (
	"errors"
	"fmt"
	"go/version"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestToolchainIsKnown fails if the toolchain that runs it is of a minor release that something here does not know yet, and says what.
// docs/new-go-release.md tells what to do.
func TestToolchainIsKnown(t *testing.T) {
	release := release(runtime.Version())
	for _, what := range missingOf(t, release) {
		t.Errorf("%s: %s", release, what)
	}
	b, err := Open(testbuild.Program(t, "hello", testbuild.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, what := range contradictions(t, goroot(t, ""), b.Layout) {
		t.Errorf("%s: %s", release, what)
	}
	if b.LayoutFromDWARF || b.AllgLen == 0 || b.AllgPtr == 0 {
		t.Errorf("%s: of a program that it built not all is found: %+v", release, b)
	}
}

// missingOf says what does not know a release.
func missingOf(t *testing.T, release string) (missing []string) {
	t.Helper()
	lang := version.Lang(release)
	if _, err := layoutFor(release); err != nil {
		missing = append(missing, fmt.Sprintf("internal/goexe/layouts.json has no layout: go run ./internal/goexe/genlayouts -out internal/goexe/layouts.json %s (%v)", release, err))
	}
	if !slices.ContainsFunc(testbuild.Versions, func(v string) bool { return version.Lang(v) == lang }) {
		missing = append(missing, "testbuild.Versions has no toolchain to test it with")
	}
	for file, text := range map[string]string{
		"docs/matrix.md":       "| " + lang + " |", // make test-matrix
		"docs/requirements.md": "to " + strings.TrimPrefix(lang, "go") + ":",
		"README.md":            "to " + strings.TrimPrefix(lang, "go") + ";",
	} {
		content, err := os.ReadFile(filepath.Join(testbuild.Root(), file))
		if err != nil {
			t.Fatal(err)
		}
		if newest := version.Compare(lang, version.Lang(testbuild.Newest)) >= 0; !strings.Contains(string(content), text) && (newest || file == "docs/matrix.md") {
			missing = append(missing, file+" does not name it")
		}
	}
	return missing
}

func TestMissingOf(t *testing.T) {
	missing := strings.Join(missingOf(t, "go1.99.0"), "\n")
	for _, want := range []string{"genlayouts -out internal/goexe/layouts.json go1.99.0", "testbuild.Versions", "docs/matrix.md", "docs/requirements.md", "README.md"} {
		if !strings.Contains(missing, want) {
			t.Errorf("of a release that nothing knows is said only:\n%s", missing)
		}
	}
	for _, known := range testbuild.Versions {
		if missing := missingOf(t, known); missing != nil {
			t.Errorf("%s: %v", known, missing)
		}
	}
}

// TestReleases compares what is known of each release with the source of its runtime.
func TestReleases(t *testing.T) {
	for _, release := range testbuild.Versions {
		l, err := layoutFor(release)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range contradictions(t, goroot(t, release), l) {
			t.Errorf("%s: %s", release, what)
		}
	}
}

// goroot returns the directory of a toolchain, of the one that runs the test if the release is "".
func goroot(t *testing.T, release string) string {
	t.Helper()
	cmd := exec.Command("go", "env", "GOROOT")
	cmd.Dir = filepath.Join(testbuild.Root(), "testdata", "hello")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if release != "" {
		cmd.Env = append(cmd.Env, "GOTOOLCHAIN="+release, "GOFLAGS=-tags=")
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go env GOROOT of %s: %v", release, err)
	}
	return strings.TrimSpace(string(out))
}

// contradictions says in what the source of a runtime differs from what is known of its release.
func contradictions(t *testing.T, goroot string, l *Layout) (all []string) {
	t.Helper()
	source := func(file string) string {
		content, err := os.ReadFile(filepath.Join(goroot, "src", "runtime", file))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	proc := source("proc.go")
	is := Traits{
		LateReasons:  !strings.Contains(proc, "\nfunc casGToWaiting("),
		LiveSyscalls: strings.Contains(proc, "\nfunc save(pc, sp uintptr)"),
		LabelMap:     strings.Contains(source("pprof/label.go"), "\ntype labelMap map["),
	}
	if known := l.Traits(); known != is {
		all = append(all, fmt.Sprintf("its runtime is %+v, believed is %+v", is, known))
	}
	if unknown := l.unknownStatuses(); unknown != nil {
		all = append(all, fmt.Sprintf("nothing tells what the statuses %v mean", unknown))
	}
	if _, known := l.G.SchedHasRet(); !known {
		all = append(all, "runtime.gobuf has an unknown form")
	}
	keepers, err := keepersIn(source("runtime2.go"))
	if err != nil && version.Compare(l.GoVersion, "go1.24") >= 0 {
		all = append(all, err.Error())
	}
	for _, reason := range keepers {
		if !threadKeepers[reason] {
			all = append(all, fmt.Sprintf("a goroutine that waits for %q keeps its thread: threadKeepers has it not", reason))
		}
	}
	for _, id := range usersStart.FindAllStringSubmatch(between(source("traceback.go"), "\nfunc isSystemGoroutine(", "\n}"), -1) {
		// The runtime decides about the goroutines that call finalizers and cleanups by what they do at the moment.
		if name := "runtime." + strings.TrimPrefix(id[1], "runtime_"); !usersStarts[name] && !sometimes[name] {
			all = append(all, fmt.Sprintf("goroutines that begin in %s may not be the runtime's own: usersStarts has it not", name))
		}
	}
	return all
}

var (
	usersStart = regexp.MustCompile(`(?:abi\.FuncID_|funcID_)(\w+)`)
	sometimes  = map[string]bool{"runtime.runfinq": true, "runtime.runFinalizers": true, "runtime.runCleanups": true}

	reasonText   = regexp.MustCompile(`(waitReason\w+):\s+"([^"]*)"`)
	reasonKeeper = regexp.MustCompile(`(waitReason\w+):\s+true`)
)

// keepersIn returns the wait reasons that the source of a runtime says to keep the thread. Go has a list of them since 1.24.
func keepersIn(source string) ([]string, error) {
	text := map[string]string{}
	for _, m := range reasonText.FindAllStringSubmatch(source, -1) {
		text[m[1]] = m[2]
	}
	list := between(source, "\nvar isWaitingForSuspendG =", "\n}")
	if list == "" {
		return nil, errors.New("no runtime.isWaitingForSuspendG: which wait reasons keep the thread must be found otherwise")
	}
	var keepers []string
	for _, m := range reasonKeeper.FindAllStringSubmatch(list, -1) {
		if text[m[1]] == "" {
			return nil, fmt.Errorf("the reason %s has no text", m[1])
		}
		keepers = append(keepers, text[m[1]])
	}
	return keepers, nil
}

func between(s, begin, end string) string {
	_, s, found := strings.Cut(s, begin)
	s, _, ends := strings.Cut(s, end)
	if !found || !ends {
		return ""
	}
	return s
}

// TestContradictions changes the source of a runtime, as a release to come may.
func TestContradictions(t *testing.T) {
	l, err := layoutFor(testbuild.Newest)
	if err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(goroot(t, testbuild.Newest), "src", "runtime")
	for name, c := range map[string]struct{ file, old, new, want string }{
		"frames in system calls": {"proc.go", "func save(pc, sp, bp uintptr)", "func save(pc, sp uintptr)", "LiveSyscalls:true"},
		"late reasons":           {"proc.go", "func casGToWaiting(", "func casGToParked(", "LateReasons:true"},
		"labels":                 {"pprof/label.go", "type labelMap struct", "type labelMap map[string]string", "LabelMap:true"},
		"a reason that keeps":    {"runtime2.go", "	waitReasonFlushProcCaches:       true,", "	waitReasonSleep:       true,", `"sleep" keeps its thread`},
		"no list of reasons":     {"runtime2.go", "var isWaitingForSuspendG =", "var isSuspendable =", "must be found otherwise"},
		"a start":                {"traceback.go", "abi.FuncID_corostart", "abi.FuncID_fiberstart", "runtime.fiberstart"},
	} {
		root := t.TempDir()
		for _, file := range []string{"proc.go", "pprof/label.go", "runtime2.go", "traceback.go"} {
			content, err := os.ReadFile(filepath.Join(from, file))
			if err != nil {
				t.Fatal(err)
			}
			if file == c.file {
				changed := strings.ReplaceAll(string(content), c.old, c.new)
				if changed == string(content) {
					t.Fatalf("%s: %s has no %q", name, file, c.old)
				}
				content = []byte(changed)
			}
			to := filepath.Join(root, "src", "runtime", file)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if found := contradictions(t, root, l); len(found) != 1 || !strings.Contains(found[0], c.want) {
			t.Errorf("%s: found are %q, want one with %q", name, found, c.want)
		}
	}
	unknown := *l
	unknown.Status = maps.Clone(l.Status)
	unknown.Status["Gsleeping"] = 12
	unknown.G.SchedBP += 16
	if found := contradictions(t, goroot(t, testbuild.Newest), &unknown); len(found) != 2 {
		t.Errorf("of an unknown status and another form of gobuf are found %q", found)
	}
}
