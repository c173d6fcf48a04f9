//go:build linux

package test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestLines follows a program that waits for a mutex at one line for long and at another for a little, and has goroutines of one function burn
// processor time, with each engine: it is told apart at which line, and which function.
func TestLines(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, engine := range []string{"uprobe", "trampoline"} {
		t.Run(engine, func(t *testing.T) {
			exact := engine == "trampoline"
			if exact {
				requireTrampolines(t)
			}
			b := e2etest.NewBackend(t)
			said := runLines(t, b, engine, exact)
			waits := mutexWaits(t, b.Metric("go.goroutine.wait.time"), exact)
			hot, cold := waits["main.contend"], waits["main.contendLittle"]
			t.Logf("%v s of %v were waited at one line, %v s of %v at the other, in all %v", hot, said["main.contend"], cold, said["main.contendLittle"], waits)
			for function, longest := range said {
				if waited := waits[function]; waited <= 0 || waited > 1.01*longest {
					t.Errorf("%s waited %v s, and says that it cannot have been more than %v", function, waited, longest)
				}
			}
			if hot <= cold {
				t.Errorf("%v s were waited where much is, %v where little is", hot, cold)
			}
			if all := reasonSum(b.Metric("go.goroutine.wait.duration"), mutexReason); math.Abs(hot+cold+waits["other"]-all) > 1e-6 {
				t.Errorf("lines have %v s in all, the distribution has %v", waits, all)
			}
			burnsMost(t, b.Metric("go.goroutine.run.time"))
		})
	}
}

// burnsMost looks for the function whose goroutines ran longest.
func burnsMost(t *testing.T, metrics []pmetric.Metric) {
	t.Helper()
	ran := map[string]float64{}
	for _, m := range metrics {
		for _, p := range m.Sum().DataPoints().All() {
			function, _ := p.Attributes().Get("code.function.name")
			ran[function.Str()] += p.DoubleValue()
		}
	}
	t.Logf("goroutines ran for %v s", ran)
	if ran["main.nibble"] <= 0 {
		t.Error("nothing ran in main.nibble")
	}
	for function, seconds := range ran {
		if seconds > ran["main.burn"] {
			t.Errorf("%s ran for longest", function)
		}
	}
}

const mutexReason = "sync.Mutex.Lock"

// runLines runs the program to its end, and returns for how long its functions say that they waited at the most. Where the engine sees all
// goroutines, few are sampled.
func runLines(t *testing.T, b *e2etest.Backend, engine string, exact bool) (said map[string]float64) {
	t.Helper()
	exe := testbuild.Program(t, "lines", testbuild.Options{})
	receiver := e2etest.Following(exe)
	if exact {
		receiver.Traces.SamplingRatio = new(0.01)
	}
	if err := receiver.Set("engine: " + engine); err != nil {
		t.Fatal(err)
	}
	c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint()))
	p := testbuild.Start(t, exe)
	c.Await("Following process")
	p.GoOn()
	if err := json.Unmarshal([]byte(p.Line()), &said); err != nil {
		t.Fatal(err)
	}
	done := time.Now()
	e2etest.Eventually(t, "metrics of all that was done", func() bool { return b.SumSince("go.goroutine.count", done) >= 0 },
		func() string { return "" })
	return said
}

// mutexWaits returns for how long goroutines waited for mutexes, by function, of which each must be at its marked line.
func mutexWaits(t *testing.T, metrics []pmetric.Metric, exact bool) map[string]float64 {
	t.Helper()
	lines := map[string]int64{"main.contend": markedLine(t, "wait: hot"), "main.contendLittle": markedLine(t, "wait: cold")}
	waits := map[string]float64{}
	for _, m := range metrics {
		for _, p := range m.Sum().DataPoints().All() {
			a := p.Attributes().AsRaw()
			if _, sampled := a["go.goroutine.sampled"]; sampled == exact {
				t.Errorf("told of sampled goroutines only: %v", sampled)
			}
			if a["go.goroutine.wait.reason"] != mutexReason {
				continue
			}
			function := a["code.function.name"].(string)
			waits[function] += p.DoubleValue()
			if want, marked := lines[function]; marked && a["code.line.number"] != want {
				t.Errorf("%s waits at line %v, want %d", function, a["code.line.number"], want)
			}
		}
	}
	return waits
}

// markedLine returns the number of the line of the program that a comment marks.
func markedLine(t *testing.T, mark string) int64 {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(testbuild.Root(), "testdata", "lines", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range strings.Split(string(source), "\n") {
		if strings.HasSuffix(text, "// "+mark) {
			return int64(i + 1)
		}
	}
	t.Fatalf("no line is marked %q", mark)
	return 0
}

// reasonSum returns for how many seconds was waited for a reason, by a distribution.
func reasonSum(metrics []pmetric.Metric, reason string) (sum float64) {
	for _, m := range metrics {
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			if v, _ := p.Attributes().Get("go.goroutine.wait.reason"); v.Str() == reason {
				sum += p.Sum()
			}
		}
	}
	return sum
}
