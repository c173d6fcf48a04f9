//go:build linux

package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

type line struct {
	file   string
	number int
}

// blocking is what is told of the goroutines that block at a line.
type blocking struct {
	function string
	names    map[string]bool // of spans, but for the function in them
}

// TestBlockingLines follows a program that blocks in all ways, and looks for the lines in its source that say where.
func TestBlockingLines(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, release := range testbuild.Since("go1.22") {
		t.Run(release, func(t *testing.T) {
			o := testbuild.Options{Version: release}
			if release == "go1.22.12" {
				o.Env = []string{"GOEXPERIMENT=rangefunc"} // iter.Pull
			}
			b := e2etest.NewBackend(t)
			exe := testbuild.Program(t, "waits", o)
			c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(exe), b.Endpoint()))
			p := testbuild.Start(t, exe)
			c.Await("Following process")
			p.GoOn()
			if said := p.Line(); said != "done" {
				t.Fatalf("the program said %q", said)
			}
			p.GoOn()
			p.Wait()
			c.Stop()
			checkLines(t, b.Spans())
		})
	}
}

func checkLines(t *testing.T, spans []ptrace.Span) {
	t.Helper()
	blocked := map[line]blocking{}
	for _, s := range spans {
		a := s.Attributes().AsRaw()
		number, ok := a["code.line.number"].(int64)
		if !ok || a["go.goroutine.state"] != "waiting" && a["go.goroutine.state"] != "syscall" {
			continue
		}
		at := line{filepath.Base(a["code.file.path"].(string)), int(number)}
		if blocked[at].names == nil {
			blocked[at] = blocking{a["code.function.name"].(string), map[string]bool{}}
		}
		what, function, _ := strings.Cut(s.Name(), " in ")
		if in := blocked[at].function; strings.HasPrefix(in, "main.") && function != in {
			t.Errorf("a wait in %s is called %q", in, s.Name())
		}
		blocked[at].names[what] = true
	}
	for kind, at := range marks(t) {
		found := blocked[at.line]
		if !strings.HasPrefix(found.function, at.function) {
			t.Errorf("%s blocks at %v in %q, want %q", kind, at.line, found.function, at.function)
		}
		if want := waitNames[kind]; !slices.ContainsFunc(want, func(w string) bool { return found.names[w] }) {
			t.Errorf("%s: at %v goroutines are in %v, want one of %q", kind, at.line, found.names, want)
		}
	}
	if t.Failed() {
		for at, b := range blocked {
			t.Log(at, b)
		}
	}
}

// waitNames are the names of the spans that a kind of wait may have, in one release of Go or another, without the function.
var waitNames = map[string][]string{
	"chan receive":  {"chan receive"},
	"chan send":     {"chan send"},
	"select":        {"select"},
	"mutex":         {"sync.Mutex.Lock"},
	"RWMutex read":  {"sync.RWMutex.RLock"},
	"RWMutex write": {"sync.RWMutex.Lock"},
	"cond":          {"sync.Cond.Wait"},
	"WaitGroup":     {"semacquire", "sync.WaitGroup.Wait"},
	"sleep":         {"sleep"},
	"timer":         {"chan receive"},
	"network read":  {"IO wait"},
	"file read":     {"syscall"},
	"syscall":       {"syscall"},
	"nil channel":   {"chan receive (nil chan)"},
	"GC assist":     {"GC assist wait"},
	"finalizer":     {"sleep"},
	"iter.Pull":     {"coroutine"},
	"yield":         {"coroutine"},
}

var (
	mark     = regexp.MustCompile(`// wait: (.*)`)
	function = regexp.MustCompile(`^func (?:\(\w+ (\*\w+)\) )?(\w+)\(`)
)

// marked is a line that says for what kind of wait goroutines block there.
type marked struct {
	line
	function string // that it stands in, or a closure of it
}

// marks returns the marked lines of the program's source, by kind.
func marks(t *testing.T) map[string]marked {
	t.Helper()
	found := map[string]marked{}
	for _, file := range []string{"main.go", "newer.go"} {
		source, err := os.ReadFile(filepath.Join(testbuild.Root(), "testdata", "waits", file))
		if err != nil {
			t.Fatal(err)
		}
		in := ""
		for i, text := range strings.Split(string(source), "\n") {
			if f := function.FindStringSubmatch(text); f != nil {
				in = "main." + f[2]
				if f[1] != "" {
					in = "main.(" + f[1] + ")." + f[2]
				}
			}
			if m := mark.FindStringSubmatch(text); m != nil {
				found[m[1]] = marked{line{file, i + 1}, in}
			}
		}
	}
	if len(found) != len(waitNames) {
		t.Fatalf("%d kinds of wait are marked, want %d", len(found), len(waitNames))
	}
	return found
}
