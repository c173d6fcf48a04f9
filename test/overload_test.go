//go:build linux

package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

const (
	pairs = 16
	// transitions is 200 000 a second for 30 s. The program makes them as fast as it can.
	transitions = 200_000 * 30
	// A throw there and back parks and wakes two goroutines.
	throws = transitions / pairs / 6
	// maxResident is what the collector may take, in bytes, however much is thrown at it: twice the limit that the test sets, for what
	// memory_limiter does not see between two looks.
	maxResident = 1000 << 20
)

// TestOverload throws more changes of state at the collector than it can export.
func TestOverload(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	b := e2etest.NewBackend(t)
	telemetry := e2etest.Address(t)
	following := e2etest.Following(exe)
	following.Traces.MaxSpansPerSecond = 10_000 // the default: each throw is a piece of work, of which the pipeline would refuse most
	config := e2etest.Exporting(following, b.Endpoint())
	config.Process("memory_limiter", e2etest.Settings{"check_interval": "100ms", "limit_mib": 500})
	if err := config.ServeOwnMetrics(telemetry); err != nil {
		t.Fatal(err)
	}
	c := e2etest.StartCollector(t, config)
	p := testbuild.Start(t, exe, strconv.Itoa(pairs), strconv.Itoa(throws))
	p.Line()
	c.Await("Following process")
	began := time.Now()
	p.GoOn()
	if line := p.Line(); line != "done" {
		t.Fatalf("the program said %q", line)
	}
	took := time.Since(began)
	e2etest.Eventually(t, "all goroutines to have exited", func() bool { return b.Sum("go.goroutine.exited") == 2*pairs }, func() string {
		return fmt.Sprintf("%d have\n%s", b.Sum("go.goroutine.exited"), c.Out)
	})
	seen, lost := ownMetric(t, telemetry, "otelcol_receiver_goroutine_transitions"), ownMetric(t, telemetry, "otelcol_receiver_goroutine_events_lost")
	resident := peakMemory(t, c)
	p.GoOn()
	p.Wait()
	c.Stop()
	t.Logf("%.0f transitions in %v, %.0f events lost, the collector took up to %d MiB", seen, took, lost, resident>>20)
	if seen < transitions {
		t.Errorf("only %.0f transitions were seen, want %d", seen, transitions)
	}
	if lost == 0 {
		t.Error("no loss is told of, so nothing was tested")
	}
	if n := strings.Count(c.Out.String(), "Events of sampled goroutines are being lost"); n != 1 {
		t.Errorf("the loss was logged %d times, want once", n)
	}
	if resident > maxResident {
		t.Errorf("the collector took %d MiB", resident>>20)
	}
	nothingFalse(t, b.Spans(), uint64(lost))
}

// nothingFalse checks what is told of goroutines of which events were lost.
func nothingFalse(t *testing.T, all []ptrace.Span, lost uint64) {
	t.Helper()
	children := map[string][]ptrace.Span{}
	for _, s := range all {
		children[s.ParentSpanID().String()] = append(children[s.ParentSpanID().String()], s)
	}
	told := uint64(0)
	for _, s := range all {
		if missing, ok := s.Attributes().Get("go.goroutine.events.lost"); ok {
			told += uint64(missing.Int())
		}
	}
	exited := 0
	for id, spans := range e2etest.GoroutineSpans(all) {
		if len(spans) != 1 {
			t.Errorf("goroutine %d has %d spans", id, len(spans))
		}
		s := spans[0]
		a := s.Attributes().AsRaw()
		missing, _ := a["go.goroutine.events.lost"].(int64)
		dropped, _ := a["go.goroutine.dropped.count"].(int64)
		if a["go.goroutine.ending"] != "exit" || a["go.goroutine.preexisting"] == true {
			continue
		}
		if function := e2etest.StartFunction(s); function == "main.throw" || function == "main.catch" {
			exited++
		}
		if a["go.goroutine.episodes"] != nil {
			continue // its intervals are those of its episodes, and waits between them, which are not shown
		}
		// Each interval is shown, dropped by the settings, or lost.
		stretches, inState, shown := int64(0), map[string]float64{}, int64(0)
		for _, state := range e2etest.States {
			n, _ := a["go.goroutine."+state+".count"].(int64)
			stretches += n
		}
		end := s.StartTimestamp()
		for _, child := range children[s.SpanID().String()] {
			state, ok := child.Attributes().Get("go.goroutine.state")
			if !ok {
				continue
			}
			shown++
			inState[state.Str()] += (child.EndTimestamp() - child.StartTimestamp()).AsTime().Sub(time.Unix(0, 0)).Seconds()
			if child.StartTimestamp() < end || child.EndTimestamp() > s.EndTimestamp() {
				t.Errorf("goroutine %d: %s begins at %d before %d, or ends at %d after %d", id, child.Name(), child.StartTimestamp(), end,
					child.EndTimestamp(), s.EndTimestamp())
			}
			end = child.EndTimestamp()
		}
		if stretches != shown+dropped+missing {
			t.Errorf("goroutine %d (%s) had %d stretches, but %d are shown, %d dropped and %d lost", id, s.Name(), stretches, shown, dropped, missing)
		}
		sum := 0.0
		for _, state := range e2etest.States {
			total, _ := a["go.goroutine."+state+".duration"].(float64)
			sum += total
			if inState[state] > total+1e-6 {
				t.Errorf("goroutine %d is shown %s for %v s of %v", id, state, inState[state], total)
			}
		}
		if life := s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime()).Seconds(); sum < 0.999*life || sum > 1.001*life {
			t.Errorf("goroutine %d lived for %v s, its states last %v s", id, life, sum)
		}
	}
	if exited != 2*pairs {
		t.Errorf("the exits of %d goroutines are told, want %d", exited, 2*pairs)
	}
	if told > lost {
		t.Errorf("spans tell of %d lost events, only %d were", told, lost)
	}
}

func ownMetric(t *testing.T, address, name string) float64 {
	t.Helper()
	v, err := e2etest.OwnMetric(address, name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// peakMemory returns the most memory that the collector has had, in bytes (VmHWM in proc_pid_status(5)).
func peakMemory(t *testing.T, c *e2etest.Collector) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
