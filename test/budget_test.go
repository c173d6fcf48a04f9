//go:build linux

package test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// limited returns settings of the receiver with limits of the overhead.
func limited(executable string, o e2etest.Overhead) e2etest.Receiver {
	r := e2etest.Following(executable)
	r.Overhead = &o
	return r
}

// handoffs is a program of two goroutines that take turns.
type handoffs struct{ *testbuild.Running }

func startHandoffs(t *testing.T, exe string) handoffs {
	t.Helper()
	p := handoffs{testbuild.Start(t, exe, "4")}
	if line := p.Line(); line != "ready" {
		t.Fatalf("the program said %q", line)
	}
	return p
}

// work lets it work for 4 seconds and returns how often its goroutines handed over, and how many there are.
func (p handoffs) work(t *testing.T) (done, goroutines int) {
	t.Helper()
	p.GoOn()
	if line := p.Line(); line != "" {
		if _, err := fmt.Sscan(line, &done, &goroutines); err != nil {
			t.Fatalf("the program said %q: %v", line, err)
		}
	}
	return done, goroutines
}

// levelOf returns the level that was told last.
func levelOf(b *e2etest.Backend) (level string) {
	for _, m := range b.Metric("go.goroutine.overhead.status") {
		for _, p := range m.Gauge().DataPoints().All() {
			if p.IntValue() == 0 { // not at this one
				continue
			}
			v, _ := p.Attributes().Get("go.goroutine.overhead.level")
			level = v.Str()
		}
	}
	return level
}

// levelsTold returns the levels that log records tell of, in their order.
func levelsTold(b *e2etest.Backend) (levels []string) {
	for _, r := range b.Records("go.goroutine.overhead.level_change") {
		v, _ := r.Attributes().Get("go.goroutine.overhead.level")
		levels = append(levels, v.Str())
	}
	return levels
}

// stretchesTold returns how many intervals of running were told, as seen and as estimated.
func stretchesTold(b *e2etest.Backend) (seen, estimated uint64) {
	for _, m := range b.Metric("go.goroutine.run.duration") {
		if m.Type() != pmetric.MetricTypeExponentialHistogram {
			continue
		}
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			if _, is := p.Attributes().Get("go.goroutine.estimated"); is {
				estimated += p.Count()
			} else {
				seen += p.Count()
			}
		}
	}
	return seen, estimated
}

// TestBudget lets probes be attached to a program that is slower with them. It soon does what it does without them, or nearly so;
// what the probes do not see is estimated; and when the program rests, more is seen of it again.
func TestBudget(t *testing.T) {
	exe := testbuild.Program(t, "handoffs", testbuild.Options{})
	b := e2etest.NewBackend(t)
	p := startHandoffs(t, exe)
	before, _ := p.work(t)
	c := e2etest.StartCollector(t, e2etest.Exporting(limited(exe, e2etest.Overhead{Budget: 0.05}), b.Endpoint()))
	c.Await("Following process")
	first, _ := p.work(t)
	with, _ := p.work(t)
	if level := levelOf(b); level != "windows" {
		t.Errorf("the program is followed at the level %q", level)
	}
	want := []string{"windows"}
	if told := levelsTold(b); !slices.Equal(told, want) {
		t.Errorf("records tell of the levels %v, want %v", told, want)
	}
	e2etest.Eventually(t, "more to be seen of a program that rests", func() bool { return slices.Contains(levelsTold(b)[len(want):], "no_syscalls") },
		func() string { return fmt.Sprint(levelsTold(b)) })
	seen, estimated := stretchesTold(b)
	c.Stop()
	after, _ := p.work(t)
	without := min(before, after) // a machine that others use does not go on at one speed
	t.Logf("%d handoffs at first, %d with the budget, %d without the collector; told are %d stretches of running, and %d estimated",
		first, with, without, seen, estimated)
	if with < without*7/10 {
		t.Errorf("the program did %d with the budget, without the collector %d", with, without)
	}
	// A handoff to and fro takes two goroutines an interval each. The estimate is as good as that of what hits cost. That only a tenth of the time
	// is seen must not show.
	if ratio := float64(seen+estimated) / float64(2*(first+with)); ratio < 0.5 || ratio > 2.5 || estimated < seen {
		t.Errorf("%d stretches are told and %d estimated of %d", seen, estimated, 2*(first+with))
	}
}

// TestBudgetOfNextToNothing leaves only looks at the program's memory.
func TestBudgetOfNextToNothing(t *testing.T) {
	exe := testbuild.Program(t, "handoffs", testbuild.Options{})
	b := e2etest.NewBackend(t)
	c := e2etest.StartCollector(t, e2etest.Exporting(limited(exe, e2etest.Overhead{Budget: 0.0005, Floor: new(0.0)}), b.Endpoint()))
	p := startHandoffs(t, exe)
	c.Await("Following process")
	var goroutines int
	for range 4 { // the first window may come after a gap of ten seconds
		_, goroutines = p.work(t)
	}
	e2etest.Eventually(t, "snapshots only", func() bool { return levelOf(b) == "snapshots" }, func() string { return fmt.Sprint(levelsTold(b)) })
	e2etest.Eventually(t, "the goroutines to be counted", func() bool { return b.Sum("go.goroutine.count") == goroutines },
		func() string { return fmt.Sprintf("%d are, of %d", b.Sum("go.goroutine.count"), goroutines) })
}

// TestBudgetOfTheHost allows probes to take as much of each program as they like, but next to nothing of the machine.
func TestBudgetOfTheHost(t *testing.T) {
	exe := testbuild.Program(t, "handoffs", testbuild.Options{})
	dir := t.TempDir()
	b := e2etest.NewBackend(t)
	overhead := e2etest.Overhead{Budget: 1, Floor: new(1.0), Host: new(0.01)}
	c := e2etest.StartCollector(t, e2etest.Exporting(limited(filepath.Join(dir, "*"), overhead), b.Endpoint()))
	var programs []handoffs
	for _, name := range []string{"one", "other"} {
		copied := filepath.Join(dir, name)
		e2etest.Place(t, exe, copied)
		programs = append(programs, startHandoffs(t, copied))
	}
	e2etest.Eventually(t, "both programs to be followed", func() bool { return strings.Count(c.Out.String(), "Following process") == 2 }, c.Out.String)
	for _, p := range programs {
		p.GoOn()
	}
	why := func() (why []string) {
		for _, r := range b.Records("go.goroutine.overhead.level_change") {
			level, _ := r.Attributes().Get("go.goroutine.overhead.level")
			reason, _ := r.Attributes().Get("go.goroutine.overhead.reason")
			why = append(why, level.Str()+" because of "+reason.Str())
		}
		return why
	}
	e2etest.Eventually(t, "windows only of both", func() bool {
		return strings.Count(fmt.Sprint(why()), "windows because of") >= 2
	}, func() string { return fmt.Sprint(why()) })
	for _, w := range why() {
		if !strings.HasSuffix(w, "because of host") {
			t.Errorf("the level is %s", w)
		}
	}
	for _, p := range programs {
		p.Line()
	}
}
