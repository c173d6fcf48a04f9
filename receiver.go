package goroutinereceiver

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/follow"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/probe"
	"github.com/otelgoroutine/goroutinereceiver/internal/target"
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
	scope   telemetry.Scope
	obs     *receiverhelper.ObsReport
	health  *metadata.TelemetryBuilder
	metrics *telemetry.Metrics
	forget  func()

	// Set before Start; nil where no pipeline takes the signal.
	nextTraces consumer.Traces
	nextLogs   consumer.Logs

	mu       sync.Mutex
	started  bool
	follower *follow.Follower

	host component.Host

	// Used by the follower's one goroutine only.
	spans  *telemetry.Spans
	logs   *telemetry.Logs
	flowed time.Time
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
		Metrics:            cfg.Metrics.MetricsConfig,
		ResourceAttributes: cfg.ResourceAttributes,
	}, set)
	clock := telemetry.NewClock()
	s := &shared{
		config:  cfg,
		set:     set,
		scope:   scope,
		obs:     obs,
		health:  health,
		metrics: telemetry.NewMetrics(scope, clock, builder, cfg.Metrics.HistogramsConfig),
		spans:   telemetry.NewSpans(scope, clock, cfg.Traces.States),
		logs:    telemetry.NewLogs(scope, clock),
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
func (s *shared) Start(_ context.Context, host component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return nil
	}
	s.started = true
	s.host = host
	o := probe.Options{MaxGoroutines: s.config.MaxGoroutines}
	tracer, err := probe.New(o)
	if err != nil {
		s.set.Logger.Error("No process can be followed", zap.Error(err))
		componentstatus.ReportStatus(host, componentstatus.NewPermanentErrorEvent(err))
		return nil
	}
	s.follower = follow.New(s.options(), tracer, s)
	if err := s.observeHealth(); err != nil {
		s.follower = nil
		return errors.Join(err, tracer.Close())
	}
	s.follower.Start()
	return nil
}

func (s *shared) options() follow.Options {
	o := follow.Options{
		Syscalls: s.config.Syscalls,
		Settings: probe.Settings{RootAge: s.config.Traces.RootAge},
		Limits: lifecycle.Limits{
			Slices:        s.config.Traces.MaxStates,
			ShortestSlice: s.config.Traces.MinStateDuration,
			Segment:       s.config.Traces.SegmentDuration,
		},
		Resource: s.resource,
		Logger:   s.set.Logger,
		Health:   s.report,
	}
	if s.nextTraces != nil || s.nextLogs != nil {
		o.Settings.SamplingRatio = s.config.Traces.SamplingRatio
	}
	if s.nextTraces == nil || s.config.Traces.States == telemetry.StateNone {
		o.Limits.Slices = 0
	}
	for i := range s.config.Targets {
		o.Matchers = append(o.Matchers, s.config.Targets[i].matcher())
	}
	return o
}

// report makes what becomes of a process the component's status.
func (s *shared) report(err error) {
	if err == nil {
		componentstatus.ReportStatus(s.host, componentstatus.NewEvent(componentstatus.StatusOK))
		return
	}
	s.health.ReceiverGoroutineAttachFailures.Add(context.Background(), 1)
	componentstatus.ReportStatus(s.host, componentstatus.NewRecoverableErrorEvent(err))
}

func (s *shared) resource(p target.Process, b *goexe.Binary) pcommon.Resource {
	return telemetry.NewResource(metadata.NewResourceBuilder(s.config.ResourceAttributes), p, b)
}

// Shutdown detaches all probes and hands on what is open, at the first call: the collector stops a receiver before the exporters of
// the same signal, but those of one signal may stop before the receiver of another.
func (s *shared) Shutdown(context.Context) error {
	s.forget()
	s.mu.Lock()
	follower := s.follower
	s.follower = nil
	s.mu.Unlock()
	if follower == nil {
		return nil
	}
	defer s.health.Shutdown()
	return follower.Stop()
}

// scrape makes the metrics of all processes.
func (s *shared) scrape(context.Context) (pmetric.Metrics, error) {
	s.mu.Lock()
	follower := s.follower
	s.mu.Unlock()
	if follower == nil {
		return pmetric.NewMetrics(), nil
	}
	figures, err := follower.Figures()
	return s.metrics.Make(figures), err
}
