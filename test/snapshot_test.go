//go:build linux

package test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// counting returns a configuration that exports counts of goroutines by wait reason, and those that are blocked for a second.
func counting(mode, exe, endpoint string) *e2etest.Config {
	r := e2etest.Following(exe)
	r.Mode, r.Traces = mode, nil
	r.Blocked = e2etest.Settings{"threshold": "1s", "top": 12}
	r.Attributes = map[string]e2etest.Attributes{"go.goroutine.count": {Names: []string{"go.goroutine.state", "go.goroutine.wait.reason"}}}
	return e2etest.Exporting(r, endpoint, e2etest.SnapshotSignals...)
}

// TestCountsByReason compares go.goroutine.count and go.goroutine.blocked with the profile that the program wrote of itself, in both modes.
func TestCountsByReason(t *testing.T) {
	for _, mode := range []string{"probes", "snapshot"} {
		t.Run(mode, func(t *testing.T) {
			exe := testbuild.Program(t, "parked", testbuild.Options{Flags: []string{"-ldflags=-s -w"}})
			b := e2etest.NewBackend(t)
			c := e2etest.StartCollector(t, counting(mode, exe, b.Endpoint()))
			p := testbuild.Start(t, exe, "1000")
			want, blocked := map[string]int{}, map[string]int{}
			for id, g := range p.Profile() {
				if id == 1 {
					continue // it has gone on
				}
				want[g.State]++
				if g.Creator == "main.main" {
					blocked[g.State]++
				}
			}
			if len(want) < 8 {
				t.Fatalf("the profile has only %v", want)
			}
			e2etest.Eventually(t, fmt.Sprintf("the counts to be %v", want), func() bool {
				got := byAttribute(b, "go.goroutine.count", "go.goroutine.wait.reason")
				delete(got, "") // the main goroutine, in a system call
				return maps.Equal(got, want)
			}, func() string { return fmt.Sprint(byAttribute(b, "go.goroutine.count", "go.goroutine.wait.reason")) })
			e2etest.Eventually(t, fmt.Sprintf("as blocked %v", blocked), func() bool {
				return maps.Equal(byAttribute(b, "go.goroutine.blocked", "go.goroutine.wait.reason"), blocked)
			}, func() string { return fmt.Sprint(byAttribute(b, "go.goroutine.blocked", "go.goroutine.wait.reason")) })
			sites := byAttribute(b, "go.goroutine.blocked", "go.goroutine.creator.line")
			if len(sites) != 10 || len(byAttribute(b, "go.goroutine.blocked", "go.goroutine.creator.function")) != 1 {
				t.Errorf("they are created at %v", sites)
			}
			e2etest.Eventually(t, "a record of each site that is blocked", func() bool { return len(b.Records("go.goroutine.blocked")) == len(blocked) },
				func() string { return fmt.Sprintf("%d are\n%s", len(b.Records("go.goroutine.blocked")), c.Out) })
			if severity := b.Records("go.goroutine.blocked")[0].SeverityText(); severity != "WARN" {
				t.Errorf("such a record has the severity %s", severity)
			}
			p.GoOn()
			e2etest.Eventually(t, "a record of each site that cleared", func() bool { return len(b.Records("go.goroutine.unblocked")) == 2 },
				func() string { return c.Out.String() })
		})
	}
}

// byAttribute returns the newest values of a metric, summed up by the values of one attribute.
func byAttribute(b *e2etest.Backend, metric, attribute string) map[string]int {
	sums := map[string]int{}
	for _, m := range b.Metric(metric) {
		for _, p := range m.Sum().DataPoints().All() {
			v, _ := p.Attributes().Get(attribute)
			sums[v.AsString()] += int(p.IntValue())
		}
	}
	return sums
}

// TestSnapshotModeAttachesNothing runs the collector in that mode with the one capability that it needs, and compares what the kernel has
// attached before and meanwhile.
func TestSnapshotModeAttachesNothing(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "parked", testbuild.Options{})
	b := e2etest.NewBackend(t)
	p := testbuild.Start(t, exe, "10")
	p.Profile()
	before := e2etest.Links(t)
	c := e2etest.StartAsNobody(t, counting("snapshot", exe, b.Endpoint()), unix.CAP_SYS_PTRACE)
	e2etest.Eventually(t, "goroutines to be counted", func() bool { return b.Sum("go.goroutine.count") > 100 }, c.Out.String)
	if now := e2etest.Links(t); !maps.Equal(now, before) {
		t.Errorf("the kernel has links %v, before %v", now, before)
	}
	for _, what := range e2etest.OpenFiles(t, c.PID()) {
		if strings.Contains(what, "bpf") || strings.Contains(what, "perf_event") {
			t.Errorf("the collector has %s open", what)
		}
	}
	if len(b.Spans()) > 0 || b.Metric("go.goroutine.time") != nil {
		t.Error("snapshots cannot tell of spans and times, but some came")
	}
}
