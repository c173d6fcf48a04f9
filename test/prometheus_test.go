//go:build linux

package test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// prometheus is a running Prometheus.
type prometheus struct {
	t       *testing.T
	address string
}

func startPrometheus(t *testing.T) prometheus {
	t.Helper()
	return startPrometheusWith(t, "")
}

// startPrometheusWith takes the content of Prometheus's configuration.
func startPrometheusWith(t *testing.T, content string) prometheus {
	t.Helper()
	exe := testbuild.Module(t, "github.com/prometheus/prometheus", "v0.316.0", "./cmd/prometheus")
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p := prometheus{t, e2etest.Address(t)}
	cmd := exec.Command(exe, "--config.file", config, "--storage.tsdb.path", dir, "--web.listen-address", p.address, "--web.enable-otlp-receiver")
	out := &e2etest.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus logged:\n%s", out)
		}
	})
	e2etest.Eventually(t, "Prometheus to be ready", func() bool {
		response, err := http.Get("http://" + p.address + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, out.String)
	return p
}

// config returns a collector's configuration that sends the metrics of a program there.
func (p prometheus) config(exe string) *e2etest.Config {
	receiver := e2etest.Following(exe)
	receiver.CollectionInterval = time.Second
	config := e2etest.NewConfig(receiver)
	config.Export("otlp_http", e2etest.Settings{"endpoint": "http://" + p.address + "/api/v1/otlp"}, "metrics")
	return config
}

// values returns those of an instant query.
func (p prometheus) values(promQL string) (all []string) {
	p.t.Helper()
	response, err := http.Get("http://" + p.address + "/api/v1/query?" + url.Values{"query": {promQL}}.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "" {
		p.t.Fatalf("%s: %v %s", promQL, err, answer.Error)
	}
	for _, r := range answer.Data.Result {
		all = append(all, r.Value[1].(string))
	}
	return all
}

// query returns the value of an instant query that has one, NaN if it has none yet.
func (p prometheus) query(promQL string) float64 {
	p.t.Helper()
	values := p.values(promQL)
	switch len(values) {
	case 0:
		return math.NaN()
	case 1:
	default:
		p.t.Fatalf("%s has %d values", promQL, len(values))
	}
	v, err := strconv.ParseFloat(values[0], 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// toldByRuntime is what the latencies program tells of its own runtime's metrics.
type toldByRuntime struct {
	Goroutines                               float64
	All, Waiting, Runnable, Running, NotInGo float64
	MutexWait                                float64
	Buckets                                  []float64
	Counts                                   []uint64
}

// quantile returns the index of the bucket that a quantile is in.
func (r toldByRuntime) quantile(q float64) int {
	var all, below uint64
	for _, n := range r.Counts {
		all += n
	}
	for i, n := range r.Counts {
		if below += n; float64(below) >= q*float64(all) {
			return i
		}
	}
	return len(r.Counts) - 1
}

// TestPrometheus compares what Prometheus answers with what the target's own runtime has measured.
func TestPrometheus(t *testing.T) {
	testbuild.RequireRoot(t)
	db := startPrometheus(t)
	exe := testbuild.Program(t, "latencies", testbuild.Options{})
	c := e2etest.StartCollector(t, db.config(exe))
	p := testbuild.Start(t, exe)
	c.Await("Following process")
	p.GoOn()
	var want toldByRuntime
	if err := json.Unmarshal([]byte(p.Line()), &want); err != nil {
		t.Fatal(err)
	}
	inState := func(state string) float64 {
		return db.query(fmt.Sprintf(`sum(go_goroutine_count{go_goroutine_state=%q})`, state))
	}
	e2etest.Eventually(t, "Prometheus to know the goroutines", func() bool { return db.query(`sum(go_goroutine_count)`) == want.Goroutines },
		func() string {
			return fmt.Sprintf("it has %v, want %v", db.query(`sum(go_goroutine_count)`), want.Goroutines)
		})
	// At rest, the runtime's own goroutines wait, and one of the program's reads its standard input.
	if got := inState("waiting"); got != want.Waiting-(want.All-want.Goroutines) {
		t.Errorf("%v goroutines are waiting, want %v of which %v are the runtime's", got, want.Waiting, want.All-want.Goroutines)
	}
	if got := inState("runnable"); got != want.Runnable {
		t.Errorf("%v goroutines are runnable, want %v", got, want.Runnable)
	}
	if got := inState("running") + inState("syscall"); got != want.Running+want.NotInGo {
		t.Errorf("%v goroutines are running or in system calls, want %v", got, want.Running+want.NotInGo)
	}

	p99 := db.query(`histogram_quantile(0.99, sum(go_schedule_duration_seconds))`)
	at := want.quantile(0.99)
	low, high := want.Buckets[max(at-1, 0)], want.Buckets[min(at+2, len(want.Buckets)-1)]
	t.Logf("p99 of scheduling latencies: %v, the runtime says %v to %v", p99, want.Buckets[at], want.Buckets[at+1])
	if !(p99 >= low && p99 <= high) {
		t.Errorf("p99 is %v, want %v to %v", p99, low, high)
	}

	waited := db.query(`histogram_sum(sum(go_goroutine_wait_duration_seconds{go_goroutine_wait_reason="sync.Mutex.Lock"}))`)
	t.Logf("waited for mutexes: %v s, the runtime says %v", waited, want.MutexWait)
	// The runtime takes a sample of one in eight.
	if waited < want.MutexWait/2 || waited > 2*want.MutexWait {
		t.Errorf("goroutines waited %v s for mutexes, want some %v", waited, want.MutexWait)
	}
}

// TestPrometheusTellsProcessesApart has two processes of one service: one may not overwrite the other.
func TestPrometheusTellsProcessesApart(t *testing.T) {
	testbuild.RequireRoot(t)
	db := startPrometheus(t)
	exe := testbuild.Program(t, "parked", testbuild.Options{})
	for _, n := range []string{"1", "3"} {
		testbuild.Start(t, exe, n).Line()
	}
	e2etest.StartCollector(t, db.config(exe))
	const instances = `count(count by (instance) (go_goroutine_count))`
	e2etest.Eventually(t, "Prometheus to know both processes", func() bool { return db.query(instances) == 2 },
		func() string { return fmt.Sprintf("it knows %v", db.query(instances)) })
	const parked = `max(sum by (instance) (go_goroutine_count)) - min(sum by (instance) (go_goroutine_count))`
	if got := db.query(parked); got != 20 {
		t.Errorf("one has %v goroutines more than the other, want 20", got)
	}
}
