//go:build linux

package goroutinereceiver

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadatatest"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// running is a receiver of all signals that runs in the test's process.
type running struct {
	t       *testing.T
	traces  consumertest.TracesSink
	metrics consumertest.MetricsSink
	logs    consumertest.LogsSink
	log     *observer.ObservedLogs
	parts   []component.Component

	mu     sync.Mutex
	events []*componentstatus.Event
}

// Report implements componentstatus.Reporter.
func (r *running) Report(e *componentstatus.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// GetExtensions implements component.Host.
func (r *running) GetExtensions() map[component.ID]component.Component { return nil }

func (r *running) statuses() (all []componentstatus.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		all = append(all, e.Status())
	}
	return all
}

// lastError returns the error of the newest status that has one.
func (r *running) lastError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.events) - 1; i >= 0; i-- {
		if r.events[i].Err() != nil {
			return r.events[i].Err()
		}
	}
	return nil
}

// start runs a receiver that can attach probes.
func start(t *testing.T, configure func(*Config)) *running {
	t.Helper()
	testbuild.RequireRoot(t)
	return run(t, configure)
}

// run runs a receiver of all signals that its mode has, in the default configuration as changed by configure, until the test ends.
func run(t *testing.T, configure func(*Config)) *running {
	t.Helper()
	r := &running{t: t}
	core, log := observer.New(zap.InfoLevel)
	r.log = log
	set := receivertest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig().(*Config)
	cfg.CollectionInterval = 200 * time.Millisecond
	cfg.InitialDelay = 0
	cfg.Overhead.Budget = 0
	cfg.Traces.MaxSpansPerSecond = 0 // the programs do all they do within moments
	cfg.Traces.Noise = telemetry.NoiseKeep
	configure(cfg)
	ctx := context.Background()
	metrics, err := factory.CreateMetrics(ctx, set, cfg, &r.metrics)
	require.NoError(t, err)
	r.parts = []component.Component{metrics}
	if cfg.Mode == modeProbes {
		traces, err := factory.CreateTraces(ctx, set, cfg, &r.traces)
		require.NoError(t, err)
		logs, err := factory.CreateLogs(ctx, set, cfg, &r.logs)
		require.NoError(t, err)
		r.parts = []component.Component{traces, metrics, logs}
	}
	for _, part := range r.parts {
		require.NoError(t, part.Start(ctx, r))
	}
	t.Cleanup(r.stop)
	return r
}

func (r *running) stop() {
	for _, part := range r.parts {
		assert.NoError(r.t, part.Shutdown(context.Background()))
	}
	r.parts = nil
}

const patience = 20 * time.Second

func (r *running) eventually(what string, is func() bool) {
	r.t.Helper()
	require.Eventually(r.t, is, patience, 20*time.Millisecond, "%s; logged: %v", what, r.log.All())
}

func (r *running) awaitFollowing(pid int) {
	r.t.Helper()
	r.eventually("process is followed", func() bool {
		return r.log.FilterMessage("Following process").FilterField(zap.Int("pid", pid)).Len() > 0
	})
}

// awaitGoroutines waits until those are known that the process had before it was followed.
func (r *running) awaitGoroutines() {
	r.t.Helper()
	r.eventually("its goroutines are counted", func() bool {
		return slices.ContainsFunc(r.metrics.AllMetrics(), func(metrics pmetric.Metrics) bool {
			return slices.ContainsFunc(e2etest.MetricsNamed(metrics, "go.goroutine.count"), func(m pmetric.Metric) bool {
				return m.Sum().DataPoints().Len() > 0
			})
		})
	})
}

// goroutines returns the spans of goroutines that start in a function.
func (r *running) goroutines(function string) (spans []ptrace.Span) {
	for _, traces := range r.traces.AllTraces() {
		for _, rs := range traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					start, _ := s.Attributes().Get("code.function.name")
					if _, ok := s.Attributes().Get("go.goroutine.id"); ok && start.Str() == function {
						spans = append(spans, s)
					}
				}
			}
		}
	}
	return spans
}

func (r *running) endings(function string) (endings []string) {
	for _, s := range r.goroutines(function) {
		ending, _ := s.Attributes().Get("go.goroutine.ending")
		endings = append(endings, ending.Str())
	}
	return endings
}

func TestFollowsProcessById(t *testing.T) {
	p := testbuild.Start(t, testbuild.Program(t, "lifecycle", testbuild.Options{}), t.TempDir()+"/trace")
	p.Line()
	r := start(t, func(c *Config) { c.Targets = []TargetConfig{{PID: p.PID()}} })
	r.awaitFollowing(p.PID())
	p.GoOn()
	p.Line()
	r.eventually("spans", func() bool { return len(r.goroutines("main.lockMutex")) == 8 })
	assert.Contains(t, r.statuses(), componentstatus.StatusOK)
}

func TestEndsSpansOfKilledProcess(t *testing.T) {
	exe := testbuild.Program(t, "lifecycle", testbuild.Options{})
	r := start(t, func(c *Config) { c.Targets = []TargetConfig{{Executable: exe}} })
	p := testbuild.Start(t, exe, t.TempDir()+"/trace")
	p.Line()
	r.awaitFollowing(p.PID())
	r.awaitGoroutines()
	p.Signal(syscall.SIGKILL)
	r.eventually("ends of open spans", func() bool { return len(r.goroutines("main.parked")) == 3 })
	assert.Equal(t, []string{"process_exit", "process_exit", "process_exit"}, r.endings("main.parked"))
}

func TestEndsOpenSpansAtShutdown(t *testing.T) {
	p := testbuild.Start(t, testbuild.Program(t, "lifecycle", testbuild.Options{}), t.TempDir()+"/trace")
	p.Line()
	r := start(t, func(c *Config) { c.Targets = []TargetConfig{{PID: p.PID()}} })
	r.awaitFollowing(p.PID())
	r.awaitGoroutines()
	assert.Empty(t, r.goroutines("main.parked"))
	r.stop()
	assert.Equal(t, []string{"unfollowed", "unfollowed", "unfollowed"}, r.endings("main.parked"))
	for _, s := range r.goroutines("main.parked") {
		preexisting, _ := s.Attributes().Get("go.goroutine.preexisting")
		assert.True(t, preexisting.Bool())
	}
}

// TestNoise keeps everything if it is to be kept, also what is shorter than is configured.
func TestNoise(t *testing.T) {
	for noise, want := range map[telemetry.Noise]lifecycle.Limits{
		telemetry.NoiseFold: {ShortestInterval: 100 * time.Microsecond, Hide: true},
		telemetry.NoiseKeep: {},
	} {
		cfg := createDefaultConfig().(*Config)
		cfg.Traces.Noise = noise
		got := (&shared{config: cfg}).options().Limits
		assert.Equal(t, want, lifecycle.Limits{ShortestInterval: got.ShortestInterval, Hide: got.Hide}, noise)
	}
}

func TestSegmentsOfLongLives(t *testing.T) {
	p := testbuild.Start(t, testbuild.Program(t, "lifecycle", testbuild.Options{}), t.TempDir()+"/trace")
	p.Line()
	r := start(t, func(c *Config) {
		c.Targets = []TargetConfig{{PID: p.PID()}}
		c.Traces.SegmentDuration = time.Second
	})
	r.awaitFollowing(p.PID())
	r.eventually("two segments of each goroutine", func() bool { return len(r.goroutines("main.parked")) >= 6 })
	byID := map[int64][]ptrace.Span{}
	for _, s := range r.goroutines("main.parked") {
		id, _ := s.Attributes().Get("go.goroutine.id")
		byID[id.Int()] = append(byID[id.Int()], s)
	}
	for id, segments := range byID {
		require.GreaterOrEqual(t, len(segments), 2)
		assert.Equal(t, segments[0].EndTimestamp(), segments[1].StartTimestamp(), "goroutine %d", id)
		require.Equal(t, 1, segments[1].Links().Len())
		assert.Equal(t, segments[0].SpanID(), segments[1].Links().At(0).SpanID())
		assert.Equal(t, segments[0].TraceID(), segments[1].Links().At(0).TraceID())
	}
}

// TestLogsNoChangeOfState has a pipeline of logs that is not to have changes of state.
func TestLogsNoChangeOfState(t *testing.T) {
	p := testbuild.Start(t, testbuild.Program(t, "lifecycle", testbuild.Options{}), t.TempDir()+"/trace")
	p.Line()
	r := start(t, func(c *Config) { c.Targets = []TargetConfig{{PID: p.PID()}} })
	r.awaitFollowing(p.PID())
	p.GoOn()
	p.Line()
	r.eventually("spans", func() bool { return len(r.goroutines("main.yields")) == 2 })
	r.stop()
	for _, record := range r.records() {
		assert.NotEqual(t, "go.goroutine.state_change", record.EventName())
	}
}

func TestLogsEachChangeOfState(t *testing.T) {
	p := testbuild.Start(t, testbuild.Program(t, "lifecycle", testbuild.Options{}), t.TempDir()+"/trace")
	p.Line()
	r := start(t, func(c *Config) { c.Targets, c.Logs.Transitions = []TargetConfig{{PID: p.PID()}}, true })
	r.awaitFollowing(p.PID())
	p.GoOn()
	p.Line()
	r.eventually("spans", func() bool { return len(r.goroutines("main.yields")) == 2 })
	r.stop()
	span := r.goroutines("main.yields")[0]
	var states []string
	for _, record := range r.records() {
		if record.SpanID() != span.SpanID() {
			continue
		}
		assert.Equal(t, "go.goroutine.state_change", record.EventName())
		to, _ := record.Attributes().Get("go.goroutine.state.to")
		states = append(states, to.Str())
	}
	runs, _ := span.Attributes().Get("go.goroutine.running.count")
	count := 0
	for _, s := range states {
		if s == "running" {
			count++
		}
	}
	assert.Equal(t, runs.Int(), int64(count))
	require.NotEmpty(t, states)
	assert.Equal(t, "runnable", states[0], "its creation")
	assert.Equal(t, "dead", states[len(states)-1])
}

func (r *running) records() (records []plog.LogRecord) {
	for _, logs := range r.logs.AllLogs() {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					records = append(records, record)
				}
			}
		}
	}
	return records
}

// TestFirstThreadExits follows a process that goes on without its first thread, which exits while it is followed, or has exited before.
func TestFirstThreadExits(t *testing.T) {
	for name, before := range map[string]bool{"before": true, "while followed": false} {
		t.Run(name, func(t *testing.T) {
			p := testbuild.Start(t, testbuild.Program(t, "survivor", testbuild.Options{}))
			p.Line()
			exit := func() {
				p.GoOn()
				p.Line()
			}
			if before {
				exit()
			}
			r := start(t, func(c *Config) { c.Targets = []TargetConfig{{PID: p.PID()}} })
			r.awaitFollowing(p.PID())
			if !before {
				exit()
			}
			const answers = 3
			for range answers {
				p.GoOn()
				p.Line()
			}
			r.eventually("spans", func() bool { return len(r.goroutines("main.answer")) == answers })
		})
	}
}

// TestTouched changes the time of an executable while a process runs it and before another begins to.
func TestTouched(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "program")
	content, err := os.ReadFile(testbuild.Program(t, "survivor", testbuild.Options{}))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(exe, content, 0o755))
	first := testbuild.Start(t, exe)
	first.Line()
	r := start(t, func(c *Config) { c.Targets = []TargetConfig{{Executable: exe}} })
	r.awaitFollowing(first.PID())
	probes := openBPF(t)
	require.NoError(t, os.Chtimes(exe, time.Time{}, time.Now().Add(-time.Hour)))
	second := testbuild.Start(t, exe)
	second.Line()
	r.awaitFollowing(second.PID())
	time.Sleep(5 * time.Second) // two looks at all processes
	assert.Equal(t, 2, r.log.FilterMessage("Following process").Len(), "each is followed once")
	assert.Equal(t, probes, openBPF(t), "by the same probes")
}

// TestLaterInCgroup has a process that comes to count after it was rejected when it hit a probe.
func TestLaterInCgroup(t *testing.T) {
	testbuild.RequireRoot(t)
	group := makeCgroup(t, "goroutine-later-"+strconv.Itoa(os.Getpid()))
	exe := testbuild.Program(t, "survivor", testbuild.Options{})
	in, out := testbuild.Start(t, exe), testbuild.Start(t, exe)
	for _, p := range []*testbuild.Running{in, out} {
		p.Line()
		p.GoOn()
		p.Line()
	}
	group.add(t, in.PID())
	r := start(t, func(c *Config) { c.Targets = []TargetConfig{{Cgroup: "/" + filepath.Base(group.path)}} })
	r.awaitFollowing(in.PID())
	out.GoOn()
	out.Line()
	assert.Equal(t, 1, r.log.FilterMessage("Following process").Len())
	group.add(t, out.PID())
	r.awaitFollowing(out.PID())
	out.GoOn()
	out.Line()
	r.eventually("spans", func() bool { return len(r.goroutines("main.answer")) == 1 })
}

// cgroup is a control group of a test.
type cgroup struct{ path string }

func makeCgroup(t *testing.T, name string) cgroup {
	t.Helper()
	parent := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(parent, "cgroup.controllers")); err != nil {
		parent = "/sys/fs/cgroup/pids" // not of the second version
	}
	g := cgroup{filepath.Join(parent, name)}
	require.NoError(t, os.Mkdir(g.path, 0o755))
	t.Cleanup(func() {
		assert.Eventually(t, func() bool { return os.Remove(g.path) == nil }, patience, 20*time.Millisecond)
	})
	return g
}

func (g cgroup) add(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(g.path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644))
}

func TestNoSuchProcess(t *testing.T) {
	const pid = 1<<22 + 1 // above the kernel's PID_MAX_LIMIT
	r := start(t, func(c *Config) { c.Targets = []TargetConfig{{PID: pid}} })
	r.eventually("status", func() bool { return errors.Is(r.lastError(), processes.ErrNoProcess) })
	assert.Contains(t, r.statuses(), componentstatus.StatusRecoverableError)
	assert.ErrorContains(t, r.lastError(), "no such process: 4194305")
}

func TestNotGo(t *testing.T) {
	sleep := exec.Command("sleep", "60")
	require.NoError(t, sleep.Start())
	defer func() {
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
	}()
	r := start(t, func(c *Config) { c.Targets = []TargetConfig{{PID: sleep.Process.Pid}} })
	r.eventually("status", func() bool { return r.lastError() != nil })
	assert.Contains(t, r.statuses(), componentstatus.StatusRecoverableError)
	assert.ErrorContains(t, r.lastError(), "not a Go executable")
	assert.Equal(t, 1, r.log.FilterMessage("Process cannot be followed").Len(), "it is said once")
}

func TestShutdownLeavesNothing(t *testing.T) {
	p := testbuild.Start(t, testbuild.Program(t, "lifecycle", testbuild.Options{}), t.TempDir()+"/trace")
	p.Line()
	once := func() {
		r := start(t, func(c *Config) { c.Targets = []TargetConfig{{PID: p.PID()}} })
		r.awaitFollowing(p.PID())
		r.stop()
	}
	once() // what is opened once and kept for good, by libraries and the runtime, is open now
	goroutines := goleak.IgnoreCurrent()
	files := openBPF(t)
	once()
	goleak.VerifyNone(t, goroutines)
	assert.Equal(t, files, openBPF(t))
	p.GoOn()
	p.Line()
}

// TestSlowPipelineWithholdsTrees has a consumer that needs longer for spans than the program for goroutines: fewer are sampled, whole trees
// at a time, and the program goes on.
func TestSlowPipelineWithholdsTrees(t *testing.T) {
	const created = 50_000
	testbuild.RequireRoot(t)
	p := testbuild.Start(t, testbuild.Program(t, "spawn", testbuild.Options{}), strconv.Itoa(created))
	p.Line()
	telemetry := componenttest.NewTelemetry()
	defer telemetry.Shutdown(t.Context())
	set := metadatatest.NewSettings(telemetry)
	cfg := createDefaultConfig().(*Config)
	cfg.Targets = []TargetConfig{{PID: p.PID()}}
	cfg.Overhead.Budget, cfg.Traces.MaxSpansPerSecond, cfg.RingBufferSize = 0, 0, minRingBuffer
	goOn := make(chan struct{})
	spans := 0
	slow, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error {
		<-goOn
		spans += td.SpanCount()
		return nil
	})
	require.NoError(t, err)
	core, log := observer.New(zap.InfoLevel)
	set.Logger = zap.New(core)
	traces, err := NewFactory().CreateTraces(t.Context(), set, cfg, slow)
	require.NoError(t, err)
	require.NoError(t, traces.Start(t.Context(), componenttest.NewNopHost()))
	require.Eventually(t, func() bool { return log.FilterMessage("Following process").Len() > 0 }, patience, 20*time.Millisecond)
	p.GoOn()
	require.Equal(t, "done", p.Line()) // while the consumer waits
	withheld, err := telemetry.GetMetric("otelcol_receiver_goroutine_trees_withheld")
	require.NoError(t, err)
	n := withheld.Data.(metricdata.Sum[int64]).DataPoints[0].Value
	close(goOn)
	require.NoError(t, traces.Shutdown(t.Context()))
	t.Logf("%d of %d trees are withheld, %d spans were taken", n, created, spans)
	assert.Greater(t, n, int64(created/2))
	assert.Positive(t, spans)
}

// openBPF returns how many programs, maps, links and perf events this process has open: a probe lives as long as they do.
func openBPF(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	open := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && (strings.Contains(to, "bpf") || strings.Contains(to, "perf")) {
			open++
		}
	}
	return open
}

// unprivileged tells the test's process that it is the child of TestWithoutPrivilege.
const unprivileged = "GOROUTINERECEIVER_TEST_UNPRIVILEGED"

// TestWithoutPrivilege runs itself as a user who may attach no probe.
func TestWithoutPrivilege(t *testing.T) {
	if os.Getenv(unprivileged) != "" {
		reportsPermanentError(t)
		return
	}
	testbuild.RequireRoot(t)
	dir, err := os.MkdirTemp("", "unprivileged") // t.TempDir's parent is not for others
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	exe := filepath.Join(dir, "test")
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, exec.Command("cp", self, exe).Run())
	cmd := exec.Command(exe, "-test.run=^TestWithoutPrivilege$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), unprivileged+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func reportsPermanentError(t *testing.T) {
	t.Helper()
	r := run(t, func(c *Config) { c.Targets = []TargetConfig{{PID: os.Getpid()}} })
	const is = componentstatus.StatusPermanentError
	assert.Equal(t, []componentstatus.Status{is, is, is}, r.statuses(), "each signal's host is told")
	assert.ErrorIs(t, r.lastError(), engine.ErrPermission)
	assert.ErrorContains(t, r.lastError(), "CAP_SYS_ADMIN")
}

// inNamespace tells the test's process that it is the child of TestOwnNamespace.
const inNamespace = "GOROUTINERECEIVER_TEST_NAMESPACE"

// TestOwnNamespace runs itself in a PID namespace, as in a container, where probes tell of processes by ids that are not known there.
func TestOwnNamespace(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		refusesProbes(t)
		takesSnapshots(t)
		return
	}
	testbuild.RequireRoot(t)
	testbuild.Program(t, "survivor", testbuild.Options{})
	cmd := exec.Command("unshare", "--pid", "--fork", "--mount-proc", os.Args[0], "-test.run=^TestOwnNamespace$")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func refusesProbes(t *testing.T) {
	t.Helper()
	r := run(t, func(c *Config) { c.Targets = []TargetConfig{{All: true}} })
	assert.Contains(t, r.statuses(), componentstatus.StatusPermanentError)
	require.ErrorIs(t, r.lastError(), processes.ErrNamespace)
	assert.ErrorContains(t, r.lastError(), "hostPID: true")
	r.stop()
}

func takesSnapshots(t *testing.T) {
	t.Helper()
	p := testbuild.Start(t, testbuild.Program(t, "survivor", testbuild.Options{}))
	p.Line()
	r := run(t, func(c *Config) { c.Targets, c.Mode = []TargetConfig{{PID: p.PID()}}, modeSnapshot })
	r.eventually("metrics", func() bool { return r.metrics.DataPointCount() > 0 })
	assert.NotContains(t, r.statuses(), componentstatus.StatusPermanentError)
	r.stop()
}

// TestLabelsAreForTraces looks for profiler labels only if there are spans to say so.
func TestLabelsAreForTraces(t *testing.T) {
	for _, test := range []struct {
		name   string
		traces consumer.Traces
		ratio  float64
		used   bool
	}{
		{"metrics only", nil, 1, false},
		{"no tree sampled", new(consumertest.TracesSink), 0, false},
		{"traces", new(consumertest.TracesSink), 0.01, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.Traces.SamplingRatio = test.ratio
			o := (&shared{config: cfg, nextTraces: test.traces, set: receivertest.NewNopSettings(metadata.Type)}).engineOptions()
			assert.Equal(t, test.used, o.Labels.Used())
		})
	}
}
