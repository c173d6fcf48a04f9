//go:build linux

package goroutinereceiver

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/outlet"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/session"
	"github.com/otelgoroutine/goroutinereceiver/internal/survey"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// factory remembers the receiver of each configuration, of which the collector makes one for each signal.
type factory struct {
	mu     sync.Mutex
	shared map[*Config]*shared
}

// shared is the receiver of one configuration, for all signals.
type shared struct {
	config  *Config
	set     receiver.Settings
	obs     *receiverhelper.ObsReport
	health  *metadata.TelemetryBuilder
	metrics *telemetry.Metrics
	forget  func()

	// Set before Start; nil where no pipeline takes the signal.
	nextTraces consumer.Traces
	nextLogs   consumer.Logs
	hasMetrics bool

	mu      sync.Mutex
	started bool
	source  source
	outlet  *outlet.Outlet
	status  *status

	// Used by the follower's one goroutine only.
	spans  *telemetry.Spans
	logs   *telemetry.Logs
	flowed time.Time

	// Used by the scraper only. offered are the figures of the last collection, nil if the pipeline has taken it.
	blocked *telemetry.Logs
	offered []telemetry.ProcessStats
}

// source is what knows of goroutines.
type source interface {
	Start()
	// Collect returns the stats of all processes. Its error is about those of which there are none.
	Collect(context.Context) ([]telemetry.ProcessStats, error)
	// Health returns how many processes are known, and what the probes have seen and lost.
	Health() (processes int, sum lifecycle.Counts)
	// Stop lets go of all processes, as far as ctx allows.
	Stop(context.Context) error
}

const transport = "ebpf"

func (f *factory) sharedFor(set receiver.Settings, cfg *Config) (*shared, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.shared[cfg]; s != nil {
		return s, nil
	}
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverID: set.ID, Transport: transport, ReceiverCreateSettings: set})
	if err != nil {
		return nil, err
	}
	health, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	scope := telemetry.Scope{Name: metadata.ScopeName, Version: set.BuildInfo.Version}
	builder := metadata.NewMetricsBuilder(metadata.MetricsBuilderConfig{
		Metrics:            withEstimatesApart(cfg.Metrics.MetricsConfig),
		ResourceAttributes: cfg.ResourceAttributes,
	}, set)
	clock := telemetry.NewClock()
	s := &shared{
		config: cfg,
		set:    set,
		obs:    obs,
		health: health,
		status: newStatus(),
		metrics: telemetry.NewMetrics(scope, clock, telemetry.MetricsOptions{
			Builder: builder, Histograms: cfg.Metrics.HistogramsConfig, Functions: cfg.functions(), TopBlocked: cfg.Blocked.Top, TopLines: cfg.WaitLines.Top,
		}),
		spans:   telemetry.NewSpans(scope, clock, telemetry.SpanOptions{States: cfg.Traces.States, Noise: cfg.Traces.Noise}),
		logs:    telemetry.NewLogs(scope, clock),
		blocked: telemetry.NewLogs(scope, clock),
	}
	s.forget = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.shared, cfg)
	}
	f.shared[cfg] = s
	return s, nil
}

// Start loads the probes, once for all signals. What stands in their way is a status of the component, not an error: a collector
// goes on with its other receivers.
func (s *shared) Start(ctx context.Context, host component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.join(host)
	if s.started {
		return nil
	}
	s.started = true
	if s.config.Mode == modeSnapshot && !s.hasMetrics {
		return errors.New("mode: snapshot gives logs, of blocked goroutines, with a pipeline of metrics only: add one, or set mode: probes")
	}
	source, err := s.open(ctx)
	if err != nil {
		s.set.Logger.Error("No process can be followed", zap.Error(err))
		s.status.fail(err)
		return nil
	}
	if err := s.observeHealth(source); err != nil {
		return errors.Join(err, source.Stop(ctx))
	}
	s.outlet = outlet.New(outlet.Options{
		Traces: s.nextTraces, Logs: s.nextLogs, Retry: s.config.RetryOnFailure, Report: s.obs, Logger: s.set.Logger,
	})
	s.source = source
	source.Start()
	return nil
}

// open makes the source of the configured mode.
func (s *shared) open(ctx context.Context) (source, error) {
	if s.config.Mode == modeSnapshot {
		if err := processes.CheckProc(); err != nil {
			return nil, err
		}
		selection, err := s.selection(ctx)
		if err != nil {
			return nil, err
		}
		return survey.New(survey.Options{
			Selection: selection, BlockedAfter: s.config.Blocked.Threshold, Resource: s.resource, Logger: s.set.Logger, Problem: s.problem, Followed: s.followed,
		})
	}
	if err := processes.CheckHost(); err != nil {
		return nil, err
	}
	selection, err := s.selection(ctx)
	if err != nil {
		return nil, err
	}
	e, trampolines, err := s.engines().open(s.config.Engine, s.engineOptions())
	if err != nil {
		return nil, err
	}
	s.set.Logger.Info("Room for goroutines and their events", zap.Int("max_goroutines", s.config.MaxGoroutines), zap.Int("max_goroutines_per_target", s.config.MaxGoroutinesPerTarget),
		zap.Int("ring_buffer_size", s.config.RingBufferSize), zap.Uint64("kernel_memory", e.Memory()))
	registry := processes.New(processes.Options{Selection: selection, Logger: s.set.Logger, OnProblem: s.notFollowed})
	o := s.options()
	o.Trampolines = trampolines
	return session.New(o, e, registry, &session.LocalHost{}, s), nil
}

func (s *shared) engineOptions() trampoline.Options {
	functions := s.config.functions()
	return trampoline.Options{
		Options: engine.Options{
			MaxGoroutines:           s.config.MaxGoroutines,
			MaxGoroutinesPerProcess: s.config.MaxGoroutinesPerTarget,
			BufferSize:              s.config.RingBufferSize,
			ByFunction:              functions.Created || functions.Exited,
			RunTimes:                s.hasMetrics && s.config.Metrics.GoGoroutineRunTime.Enabled,
			ByLine:                  s.byLine(),
			MeasureCosts:            s.config.Overhead.Budget > 0,
			Logger:                  s.set.Logger,
			Labels:                  s.labels(),
		},
		CPU:   s.config.Overhead.Collector,
		ARM64: s.config.Trampoline.ARM64 == experimental,
	}
}

// rootAge is how old a goroutine may be to share its sampling with what it creates. What an older one creates, as one that accepts
// connections, is sampled by itself.
const rootAge = 5 * time.Second

func (s *shared) options() session.Options {
	o := session.Options{
		Syscalls:   s.config.Syscalls,
		Newcomers:  s.config.selection().Open(),
		Collected:  s.hasMetrics,
		ByLine:     s.byLine(),
		Logged:     s.logsTransitions(),
		Settings:   engine.Settings{RootAge: rootAge, Stacks: s.config.Traces.Stacks != stacksOff},
		FullStacks: s.config.Traces.Stacks == stacksFull,
		Limits: lifecycle.Limits{
			Intervals:        s.config.Traces.MaxStates,
			ShortestInterval: s.config.Traces.MinStateDuration,
			Segment:          s.config.Traces.SegmentDuration,
			Outlives:         s.config.Traces.Outlives,
			TreeIntervals:    s.config.Traces.MaxSpansPerTrace,
			Join:             s.config.Traces.Join,
			Hide:             s.config.Traces.Noise != telemetry.NoiseKeep,
		},
		SpansPerSecond: s.config.Traces.MaxSpansPerSecond,
		Overhead:       overhead.Limits{Budget: s.config.Overhead.Budget, Floor: s.config.Overhead.Floor, Host: s.config.Overhead.Host},
		Resource:       s.resource,
		Logger:         s.set.Logger,
		Followed:       s.followed,
		Refused:        s.refused,
	}
	o.Settings.SamplingRatio = s.samplingRatio()
	if s.config.Traces.Noise == telemetry.NoiseKeep {
		o.Limits.ShortestInterval = 0
	}
	if s.nextTraces == nil || s.config.Traces.States == telemetry.StateNone {
		o.Limits.Intervals = 0
	}
	if s.nextTraces == nil {
		o.Settings.Stacks = false
	}
	if s.config.looksAtEach() {
		o.BlockedAfter = s.config.Blocked.Threshold
	}
	return o
}

// samplingRatio returns which part of the trees of goroutines events are wanted of.
func (s *shared) samplingRatio() float64 {
	if s.nextTraces == nil && !s.logsTransitions() {
		return 0
	}
	return s.config.Traces.SamplingRatio
}

// labels returns the labels that name spans of the program's own. If no tree is sampled there are none: nobody would be told of them.
func (s *shared) labels() engine.LabelNames {
	if s.samplingRatio() == 0 {
		return engine.LabelNames{}
	}
	return engine.LabelNames{TraceID: s.config.Traces.Labels.TraceID, SpanID: s.config.Traces.Labels.SpanID}
}

// logsTransitions tells whether each change of state of a goroutine becomes a log record.
func (s *shared) logsTransitions() bool { return s.nextLogs != nil && s.config.Logs.Transitions }

// byLine tells whether it is told at which lines goroutines wait.
func (s *shared) byLine() bool { return s.hasMetrics && s.config.Metrics.GoGoroutineWaitTime.Enabled }

// notFollowed is called with each process that counts and cannot be followed.
func (s *shared) notFollowed(p processes.Process, err error) {
	s.set.Logger.Warn("Process cannot be followed", zap.Int("pid", p.PID), zap.String("executable", p.Executable), zap.Error(err))
	s.problem(p, err)
}

func (s *shared) resource(p processes.Process, b *goexe.Binary) pcommon.Resource {
	return telemetry.NewResource(metadata.NewResourceBuilder(s.config.ResourceAttributes), p, b)
}

// shutdownLimit is how long Shutdown may take, whatever its context allows: the collector sets none at SIGTERM.
const shutdownLimit = 5 * time.Second

// Shutdown detaches all probes and hands on what is open, at the first call: the collector stops a receiver before the exporters of
// the same signal, but those of one signal may stop before the receiver of another. Neither a pipeline nor the kernel makes it take longer
// than ctx or shutdownLimit allows.
func (s *shared) Shutdown(ctx context.Context) error {
	s.forget()
	s.mu.Lock()
	source := s.source
	s.source = nil
	s.mu.Unlock()
	s.status.close()
	if source == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()
	defer s.health.Shutdown()
	err := source.Stop(ctx)
	s.outlet.Shutdown(ctx)
	return err
}

// within returns what a function does, or the context's error if that ends first. Then the function goes on in the background.
func within(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
