//go:build linux

package test

import (
	"fmt"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// secondsBy returns the newest values of a metric, summed up by the values of one attribute, or all together if they have none of that name.
func secondsBy(b *e2etest.Backend, metric, attribute string) map[string]float64 {
	sums := map[string]float64{}
	for _, m := range b.Metric(metric) {
		for _, p := range m.Sum().DataPoints().All() {
			value := ""
			if v, ok := p.Attributes().Get(attribute); ok {
				value = v.AsString()
			}
			sums[value] += p.DoubleValue()
		}
	}
	return sums
}

// processorUse is where the time of a program went, in seconds, and the part of a quota's periods in which it was used up.
type processorUse struct {
	used, runQueue, throttled     float64 // of its threads
	running, runnable, collection float64 // of its goroutines, and of those of the garbage collector
	throttledPeriods              float64
}

func processorUseOf(b *e2etest.Backend) (u processorUse) {
	for _, seconds := range secondsBy(b, "process.cpu.time", "cpu.mode") {
		u.used += seconds
	}
	u.runQueue = secondsBy(b, "process.cpu.runqueue.time", "")[""]
	u.throttled = secondsBy(b, "process.cgroup.cpu.throttled.time", "")[""]
	states := secondsBy(b, "go.goroutine.time", "go.goroutine.state")
	u.running, u.runnable = states["running"], states["runnable"]
	u.collection = secondsBy(b, "go.goroutine.system.time", "code.function.name")["runtime.gcBgMarkWorker"]
	u.throttledPeriods = float64(b.Sum("process.cgroup.cpu.throttled.periods")) / float64(max(b.Sum("process.cgroup.cpu.periods"), 1))
	return u
}

// atLeast is how many seconds of processor time a program takes until it is judged.
const atLeast = 0.3

// TestWhatKeepsFromWork tells a program that is throttled from one whose processors the garbage collector takes, and from one that has too few.
func TestWhatKeepsFromWork(t *testing.T) {
	for name, test := range map[string]struct {
		arguments []string
		quota     float64
		mode      string
		is        func(processorUse) bool
	}{
		"throttled": {[]string{"work", "1"}, 0.1, "probes", func(u processorUse) bool {
			return u.running > 3*u.used && u.runQueue > 3*u.used && u.throttled > u.used && u.throttledPeriods > 0.5 && u.collection < u.used/10
		}},
		"throttled, in snapshots": {[]string{"work", "1"}, 0.1, "snapshot", func(u processorUse) bool {
			return u.running == 0 && u.runQueue > 3*u.used && u.throttled > u.used && u.throttledPeriods > 0.5
		}},
		"garbage": {[]string{"garbage"}, 0, "probes", func(u processorUse) bool {
			return u.collection > u.used/4 && u.collection > u.runnable && u.throttledPeriods == 0
		}},
		"starved": {[]string{"starve", "20"}, 0, "probes", func(u processorUse) bool {
			return u.runnable > 5*u.running && u.collection < u.used/10 && u.throttledPeriods == 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			exe := testbuild.Program(t, "processor", testbuild.Options{})
			b := e2etest.NewBackend(t)
			receiver := e2etest.Following(exe)
			receiver.Mode = test.mode
			c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint(), "metrics"))
			p := testbuild.Start(t, exe, test.arguments...)
			if test.quota > 0 {
				testbuild.LimitCPU(t, p.PID(), test.quota)
			}
			p.Line()
			e2etest.Eventually(t, "it to be told", func() bool {
				u := processorUseOf(b)
				return u.used > atLeast && test.is(u)
			}, func() string { return fmt.Sprintf("%+v\n%s", processorUseOf(b), c.Out) })
			t.Logf("%+v", processorUseOf(b))
		})
	}
}
