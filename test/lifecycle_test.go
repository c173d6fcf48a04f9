//go:build linux

package test

import (
	"cmp"
	"fmt"
	"go/version"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// compared are the releases that TestAgreesWithRuntimeTrace builds targets with; TestMatrix has all.
var compared = []string{"go1.22.12", "go1.24.13", "go1.26.8", testbuild.Newest}

// TestAgreesWithRuntimeTrace compares what the collector exports with the trace that the target's own runtime wrote of the same
// seconds.
func TestAgreesWithRuntimeTrace(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, engine := range engines {
		for _, release := range compared {
			t.Run(engine+"/"+release, func(t *testing.T) {
				agrees(t, engine, release, testbuild.Program(t, "lifecycle", testbuild.Options{Version: release}))
			})
		}
	}
}

// engines are those by which a process can be followed for good.
var engines = []string{"uprobe", "trampoline"}

// followingBy returns settings with which all is seen by an engine.
func followingBy(engine, executable string) e2etest.Receiver {
	r := e2etest.Following(executable)
	r.Traces.Outlives = "1h" // each life is to be one span, also on a machine that is slow
	r.Others = e2etest.Settings{"engine": engine}
	if engine != "uprobe" { // which slows a program that does nothing but change states to what can be read of it
		r.Others["ring_buffer_size"] = 64 << 20
		r.Others["trampoline"] = e2etest.Settings{"arm64": "experimental"}
	}
	return r
}

// run is what a run of the lifecycle program under a collector has left.
type run struct {
	spans  []ptrace.Span
	trace  map[uint64]*e2etest.Traced
	warned string // what the collector said, if it warned that something was missed
}

func runLifecycle(t *testing.T, engine, exe string) run {
	t.Helper()
	b := e2etest.NewBackend(t)
	c := e2etest.StartCollector(t, e2etest.Exporting(followingBy(engine, exe), b.Endpoint()))
	file := filepath.Join(t.TempDir(), "trace")
	p := testbuild.Start(t, exe, file)
	before := e2etest.AwaitCount(t, b, c, p)
	created, exited := -b.Sum("go.goroutine.created"), -b.Sum("go.goroutine.exited")
	p.GoOn()
	after := e2etest.AwaitCount(t, b, c, p)
	created += b.Sum("go.goroutine.created")
	exited += b.Sum("go.goroutine.exited")
	if created < 100 || after-before != created-exited {
		t.Errorf("%d goroutines became %d, but %d were created and %d have exited", before, after, created, exited)
	}
	p.GoOn()
	if line := p.Line(); line != "done" {
		t.Fatalf("the program said %q", line)
	}
	p.Wait()
	c.Stop()
	r := run{spans: b.Spans(), trace: e2etest.RuntimeTrace(t, file)}
	if c.Out.Has("\twarn\t") {
		r.warned = c.Out.String()
	}
	return r
}

// attempts is how often the program is run until all times of each of its goroutines have agreed in one run at the least, and each kind
// was in all its states in one. Probe and trace see each change of state at two instants, between which the kernel may give the thread's
// processor to another process for milliseconds: that makes times of some goroutine disagree in many a run, but nothing makes wrong times
// agree. Everything else must be right in each run.
const attempts = 10

// mostImpaired is of how many runs the collector may say that it has missed something, for want of a processor: these tell nothing.
const mostImpaired = 2

func agrees(t *testing.T, engine, goVersion, exe string) {
	t.Helper()
	var off map[string]string
	impaired := 0
	for range attempts {
		r := runLifecycle(t, engine, exe)
		if r.warned != "" {
			if impaired++; impaired > mostImpaired {
				t.Fatalf("the collector warned again and again:\n%s", r.warned)
			}
			continue
		}
		spans := e2etest.GoroutineSpans(r.spans)
		structureAgrees(t, r.trace, spans)
		if version.Compare(goVersion, "go1.22") >= 0 { // older traces do not tell of the goroutines that a collection stops and lets go on
			wakersAgree(t, r)
		}
		now := statesOff(t, goVersion, r.spans)
		if !emulated {
			maps.Copy(now, timesOff(t, goVersion, r.trace, spans))
		}
		if off == nil {
			off = now
		}
		maps.DeleteFunc(off, func(which, _ string) bool { return now[which] == "" })
		if len(off) == 0 || t.Failed() {
			break
		}
	}
	for which, o := range off {
		t.Errorf("%s: %s", which, o)
	}
}

// structureAgrees checks that each goroutine has one span with the same name and parent.
func structureAgrees(t *testing.T, trace map[uint64]*e2etest.Traced, spans map[uint64][]ptrace.Span) {
	t.Helper()
	if len(trace) < 100 {
		t.Fatalf("the trace has only %d goroutines", len(trace))
	}
	for id, g := range trace {
		if len(spans[id]) != 1 {
			t.Errorf("goroutine %d (%s) has %d spans, want 1", id, g.Start, len(spans[id]))
			continue
		}
		s := spans[id][0]
		if got, want := e2etest.StartFunction(s), cmp.Or(g.Start, "unknown"); got != want { // that of a thread that C made starts nowhere
			t.Errorf("goroutine %d was started for %q, want %q", id, got, want)
		}
		if parent, _ := s.Attributes().Get("go.goroutine.parent.id"); uint64(parent.Int()) != g.Parent {
			t.Errorf("goroutine %d (%s) has parent %d, want %d", id, g.Start, parent.Int(), g.Parent)
		}
		if ending, _ := s.Attributes().Get("go.goroutine.ending"); ending.Str() != "exit" {
			t.Errorf("goroutine %d (%s) ends with %q", id, g.Start, ending.Str())
		}
	}
}

// wakersAgree checks that each goroutine was made runnable by the same goroutines, one after the other.
func wakersAgree(t *testing.T, r run) {
	t.Helper()
	goid := map[string]uint64{} // of span ids
	for _, s := range r.spans {
		if id, ok := s.Attributes().Get("go.goroutine.id"); ok {
			goid[s.SpanID().String()] = uint64(id.Int())
		}
	}
	waits := slices.Clone(r.spans)
	slices.SortStableFunc(waits, func(a, b ptrace.Span) int { return cmp.Compare(a.StartTimestamp(), b.StartTimestamp()) })
	got := map[uint64][]uint64{}
	for _, s := range waits {
		waker, ok := s.Attributes().Get("go.goroutine.waker.id")
		if !ok {
			continue
		}
		of := goid[s.ParentSpanID().String()]
		if e2etest.IsEpisode(s) {
			if segment, _ := s.Attributes().Get("go.goroutine.segment"); segment.Int() == 1 {
				continue // the wait before it is a state of the goroutine's life
			}
			of = goid[s.SpanID().String()]
		}
		got[of] = append(got[of], uint64(waker.Int()))
		if !e2etest.IsEpisode(s) && s.Links().Len() == 1 && goid[s.Links().At(0).SpanID().String()] != uint64(waker.Int()) {
			t.Errorf("a wait of goroutine %d ended by %d has a link to another", of, waker.Int())
		}
	}
	woken := 0
	for id, g := range r.trace {
		if g.Network {
			continue
		}
		if woken += len(g.Wakers); !slices.Equal(got[id], g.Wakers) {
			t.Errorf("goroutine %d (%s) was woken by %v, want %v", id, g.Start, got[id], g.Wakers)
		}
	}
	if woken < 50 {
		t.Errorf("the trace has only %d goroutines that were woken by others", woken)
	}
}

// timesOff tells which times in states differ from the trace's by more than is allowed. A goroutine is named by its start function and
// how many have begun there before it, which is the same in all runs of the program.
func timesOff(t *testing.T, goVersion string, trace map[uint64]*e2etest.Traced, spans map[uint64][]ptrace.Span) map[string]string {
	t.Helper()
	off := map[string]string{}
	begun := map[string]int{}
	want, got := map[string]time.Duration{}, map[string]time.Duration{}
	for _, g := range byCreation(trace) {
		which := fmt.Sprintf("%s #%d", g.Start, begun[g.Start])
		begun[g.Start]++
		if len(spans[g.ID]) == 0 {
			continue
		}
		for _, state := range e2etest.States {
			is, must := inState(spans[g.ID][0], state), g.Times[state]
			if onThread := state == "running" || state == "syscall"; onThread && version.Compare(goVersion, "go1.22") < 0 {
				// The trace of these releases tells of a system call only if it blocks.
				if state == "syscall" {
					continue
				}
				is, must = is+inState(spans[g.ID][0], "syscall"), must+g.Times["syscall"]
			}
			want[state] += must
			got[state] += is
			if d := (is - must).Abs(); d > slack && float64(d) > tolerance*float64(must) {
				off[which] = fmt.Sprintf("goroutine %d was %s for %v, want %v (%v)", g.ID, state, is, must, g.Times)
			}
		}
	}
	for state, w := range want {
		share := math.Abs(float64(got[state]-w)) / float64(w)
		t.Logf("%s: %v, the trace says %v (%.2f%% off)", state, got[state], w, 100*share)
		if share > tolerance {
			off[state] = fmt.Sprintf("all goroutines together were %s for %v, want %v (%.1f%% off)", state, got[state], w, 100*share)
		}
	}
	t.Logf("%d goroutines, %d times off", len(trace), len(off))
	return off
}

// emulated tells that the processor is one in software, in which a probe takes as long as all that it measures: times are not compared.
var emulated = os.Getenv("EMULATED") == "true"

// slack is by how much a time may differ, however small it is, tolerance the share that a long one may differ by. Between our note of a system call and
// the runtime's lies a trap, of which one that is single-stepped takes 10 µs and more; goroutines here make some twenty calls.
const (
	slack     = 400 * time.Microsecond
	tolerance = 0.05
)

// inState returns how long a goroutine was in a state, by its span.
func inState(s ptrace.Span, state string) time.Duration {
	v, _ := s.Attributes().Get("go.goroutine." + state + ".duration")
	return time.Duration(v.Double() * float64(time.Second))
}

// byCreation returns goroutines in the order in which they were created.
func byCreation(trace map[uint64]*e2etest.Traced) []*e2etest.Traced {
	return slices.SortedFunc(maps.Values(trace), func(a, b *e2etest.Traced) int { return cmp.Compare(a.Created, b.Created) })
}
