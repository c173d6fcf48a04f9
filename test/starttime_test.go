//go:build linux

package test

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// series are the points of go.goroutine.time and of go.schedule.duration of a process, by what they start at.
type series map[pcommon.Timestamp]extent

// extent is the times of the first and the last point.
type extent struct {
	first, last pcommon.Timestamp
}

func (s series) add(start, at pcommon.Timestamp) {
	e, ok := s[start]
	if !ok {
		e.first = at
	}
	e.last = max(e.last, at)
	s[start] = e
}

// seriesOf returns the series of the process pid.
func seriesOf(b *e2etest.Backend, pid int) series {
	found := series{}
	for _, rm := range b.ResourceMetrics() {
		if of, _ := rm.Resource().Attributes().Get("process.pid"); of.Int() != int64(pid) {
			continue
		}
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch {
				case m.Name() == "go.goroutine.time":
					for _, p := range m.Sum().DataPoints().All() {
						found.add(p.StartTimestamp(), p.Timestamp())
					}
				case m.Type() == pmetric.MetricTypeExponentialHistogram:
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						found.add(p.StartTimestamp(), p.Timestamp())
					}
				}
			}
		}
	}
	return found
}

// TestStartTimes restarts the target, and then the collector: each time the series begin anew, and nothing overlaps.
func TestStartTimes(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "server", testbuild.Options{})
	b := e2etest.NewBackend(t)
	config := e2etest.Exporting(e2etest.Following(exe), b.Endpoint())
	c := e2etest.StartCollector(t, config)
	var pids []int
	run := func() *testbuild.Running {
		p := testbuild.Start(t, exe)
		url := "http://" + p.Line() + "/fanout"
		e2etest.Load(t, url, 4)
		pids = append(pids, p.PID())
		e2etest.Eventually(t, "metrics of the process", func() bool { return len(seriesOf(b, p.PID())) > 0 }, c.Out.String)
		return p
	}
	run().Stop()
	run()
	c.Stop()
	first, before := seriesOf(b, pids[0]), seriesOf(b, pids[1])
	c = e2etest.StartCollector(t, config)
	e2etest.Eventually(t, "metrics of the process from the second collector", func() bool { return len(seriesOf(b, pids[1])) > len(before) }, c.Out.String)
	c.Stop()
	both := seriesOf(b, pids[1])
	if len(first) != 1 || len(before) != 1 || len(both) != 2 {
		t.Fatalf("series start at %v, %v, and %v after a restart of the collector", first, before, both)
	}
	var ended extent
	for start, e := range before {
		ended = e
		for _, f := range first {
			if start < f.first {
				t.Errorf("the second process's series start at %v, the first one's has points from %v on", start, f.first)
			}
		}
	}
	for start, e := range both {
		if start > e.first {
			t.Errorf("a series starts at %v, after its first point at %v", start, e.first)
		}
		if before[start] == (extent{}) && start < ended.last {
			t.Errorf("the second collector's series start at %v, the first one's last until %v", start, ended.last)
		}
	}
}
