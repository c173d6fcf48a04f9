package outlet

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadatatest"
)

var errBusy = errors.New("not now")

const patience = 10 * time.Second

// pipeline is a consumer of spans that keeps the names of those that it takes, and answers as it is told.
type pipeline struct {
	answer  func(offer int, td ptrace.Traces) error // nil takes all
	mutates bool

	mu      sync.Mutex
	offered [][]string
	taken   []string
}

func (p *pipeline) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: p.mutates}
}

func (p *pipeline) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	p.mu.Lock()
	p.offered = append(p.offered, names(td))
	n := len(p.offered)
	p.mu.Unlock()
	var err error
	if p.answer != nil {
		err = p.answer(n, td)
	}
	if p.mutates {
		spansOf(td).At(0).SetName("changed")
	}
	if err == nil {
		p.mu.Lock()
		p.taken = append(p.taken, names(td)...)
		p.mu.Unlock()
	}
	return err
}

func (p *pipeline) took() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

func spansOf(td ptrace.Traces) ptrace.SpanSlice {
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
}

func names(td ptrace.Traces) (all []string) {
	for _, s := range spansOf(td).All() {
		all = append(all, s.Name())
	}
	return all
}

func spans(names ...string) ptrace.Traces {
	td := ptrace.NewTraces()
	to := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, name := range names {
		to.AppendEmpty().SetName(name)
	}
	return td
}

func many(n int) ptrace.Traces {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return spans(all...)
}

func records(n int) plog.Logs {
	ld := plog.NewLogs()
	to := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range n {
		to.AppendEmpty()
	}
	return ld
}

// observed is an Outlet with all that it tells.
type observed struct {
	*Outlet
	t         *testing.T
	telemetry *componenttest.Telemetry
	log       *observer.ObservedLogs
}

func open(t *testing.T, o Options) *observed {
	t.Helper()
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { assert.NoError(t, tel.Shutdown(context.Background())) })
	set := metadatatest.NewSettings(tel)
	core, log := observer.New(zap.InfoLevel)
	o.Logger = zap.New(core)
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: component.NewID(metadata.Type), Transport: "ebpf", ReceiverCreateSettings: set,
	})
	require.NoError(t, err)
	o.Report = report
	opened := &observed{Outlet: New(o), t: t, telemetry: tel, log: log}
	t.Cleanup(func() { opened.Shutdown(cancelledContext()) })
	return opened
}

func cancelledContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// end hands over what waits.
func (o *observed) end() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	o.Shutdown(ctx)
	require.NoError(o.t, ctx.Err(), "not all has been handed over")
}

// count returns the value of a metric of the collector's own telemetry.
func (o *observed) count(name string) (sum int) {
	o.t.Helper()
	m, err := o.telemetry.GetMetric(name)
	if err != nil {
		return 0
	}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		sum += int(p.Value)
	}
	return sum
}

func (o *observed) accepted() int { return o.count("otelcol_receiver_accepted_spans") }
func (o *observed) refused() int  { return o.count("otelcol_receiver_refused_spans") }

func retrying() configretry.BackOffConfig {
	return configretry.BackOffConfig{Enabled: true, InitialInterval: time.Millisecond, Multiplier: 1, MaxInterval: time.Millisecond}
}

func TestHandsOverInOrder(t *testing.T) {
	next := &pipeline{}
	o := open(t, Options{Traces: next})
	o.Traces(spans("a", "b"))
	o.Traces(spans("c"))
	o.end()
	assert.Equal(t, []string{"a", "b", "c"}, next.took())
	assert.Equal(t, 3, o.accepted())
	assert.Zero(t, o.refused())
}

// Behind a fan-out, another pipeline may have taken what this one refused.
func TestWithoutRetryOffersNothingTwice(t *testing.T) {
	next := &pipeline{answer: func(int, ptrace.Traces) error { return errBusy }}
	o := open(t, Options{Traces: next, Retry: configretry.BackOffConfig{}})
	o.Traces(spans("a", "b"))
	o.end()
	assert.Len(t, next.offered, 1)
	assert.Equal(t, 2, o.refused())
	lost := o.log.FilterField(zap.Int("count", 2)).All()
	require.Len(t, lost, 1)
	assert.ErrorIs(t, errorOf(lost[0]), errBusy)
}

func errorOf(e observer.LoggedEntry) error {
	for _, f := range e.Context {
		if err, is := f.Interface.(error); is {
			return err
		}
	}
	return nil
}

func TestRetryOffersAgain(t *testing.T) {
	for name, mutates := range map[string]bool{"what was refused": false, "it unchanged": true} {
		t.Run(name, func(t *testing.T) {
			next := &pipeline{mutates: mutates, answer: func(offer int, _ ptrace.Traces) error {
				if offer < 4 {
					return errBusy
				}
				return nil
			}}
			o := open(t, Options{Traces: next, Retry: retrying()})
			o.Traces(spans("a", "b"))
			o.end()
			assert.Equal(t, [][]string{{"a", "b"}, {"a", "b"}, {"a", "b"}, {"a", "b"}}, next.offered)
			assert.Equal(t, 2, o.accepted())
			assert.Zero(t, o.refused())
		})
	}
}

func TestRetryGivesUp(t *testing.T) {
	retry := retrying()
	retry.MaxElapsedTime = 20 * time.Millisecond
	next := &pipeline{answer: func(int, ptrace.Traces) error { return errBusy }}
	o := open(t, Options{Traces: next, Retry: retry})
	o.Traces(spans("a"))
	o.end()
	assert.Greater(t, len(next.offered), 1)
	assert.Equal(t, 1, o.refused())
}

// A pipeline that refuses, as memory_limiter does, at once: nothing waits, but more would be refused too.
func TestRefusingPipelineIsBusyForAMoment(t *testing.T) {
	next := &pipeline{answer: func(int, ptrace.Traces) error { return errBusy }}
	o := open(t, Options{Traces: next})
	assert.False(t, o.Busy())
	o.Traces(spans("a"))
	require.Eventually(t, o.Busy, patience, time.Millisecond)
	require.Eventually(t, func() bool { return !o.Busy() }, patience, time.Millisecond)
}

func TestPermanentErrorsAreNotRetried(t *testing.T) {
	next := &pipeline{answer: func(int, ptrace.Traces) error { return consumererror.NewPermanent(errBusy) }}
	o := open(t, Options{Traces: next, Retry: retrying()})
	o.Traces(spans("a"))
	o.end()
	assert.Len(t, next.offered, 1)
	assert.Equal(t, 1, o.refused())
	assert.False(t, o.Busy(), "other data may be taken")
}

func TestOffersOnlyWhatFailed(t *testing.T) {
	next := &pipeline{answer: func(offer int, _ ptrace.Traces) error {
		if offer == 1 {
			return consumererror.NewTraces(errBusy, spans("b"))
		}
		return nil
	}}
	o := open(t, Options{Traces: next, Retry: retrying()})
	o.Traces(spans("a", "b", "c"))
	o.end()
	assert.Equal(t, [][]string{{"a", "b", "c"}, {"b"}}, next.offered)
	assert.Equal(t, 3, o.accepted())
}

func TestCountsOnlyWhatFailed(t *testing.T) {
	next := &pipeline{answer: func(int, ptrace.Traces) error { return consumererror.NewTraces(errBusy, spans("b")) }}
	o := open(t, Options{Traces: next})
	o.Traces(spans("a", "b", "c"))
	o.end()
	assert.Equal(t, 2, o.accepted())
	assert.Equal(t, 1, o.refused())
}

// With proto pooling, a pipeline gives back the memory of what it was offered, also if it refuses it.
func TestOffersAgainWhatAPoolingPipelineRefused(t *testing.T) {
	const pooling = "pdata.useProtoPooling"
	require.NoError(t, featuregate.GlobalRegistry().Set(pooling, true))
	t.Cleanup(func() { require.NoError(t, featuregate.GlobalRegistry().Set(pooling, false)) })
	next := &pipeline{answer: func(offer int, td ptrace.Traces) error {
		if pref.MarkPipelineOwnedTraces(td) {
			pref.UnrefTraces(td)
		}
		if offer == 1 {
			return errBusy
		}
		return nil
	}}
	o := open(t, Options{Traces: next, Retry: retrying()})
	o.Traces(spans("a"))
	o.end()
	assert.Equal(t, []string{"a"}, next.took())
}

// hanging is a consumer that does not answer before it is released; it may heed the end of its context.
type hanging struct {
	heeds   bool
	began   chan struct{}
	release chan struct{}
}

func newHanging(t *testing.T, heeds bool) *hanging {
	h := &hanging{heeds: heeds, began: make(chan struct{}, 1000), release: make(chan struct{})}
	t.Cleanup(func() { close(h.release) })
	return h
}

func (h *hanging) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (h *hanging) ConsumeTraces(ctx context.Context, _ ptrace.Traces) error {
	h.began <- struct{}{}
	var ended <-chan struct{}
	if h.heeds {
		ended = ctx.Done()
	}
	select {
	case <-h.release:
		return nil
	case <-ended:
		return ctx.Err()
	}
}

func TestHangingPipelineBoundsWhatWaits(t *testing.T) {
	next := newHanging(t, false)
	o := open(t, Options{Traces: next})
	o.Traces(many(Capacity / 2))
	<-next.began
	assert.False(t, o.Busy(), "half of it")
	o.Traces(spans("more"))
	assert.True(t, o.Busy(), "more than half of it")
	o.Traces(many(Capacity / 2)) // does not fit, and does not wait
	assert.Equal(t, Capacity/2, o.refused())
	o.Traces(many(Capacity/2 - 1)) // fits
	assert.Equal(t, Capacity/2, o.refused())
	for range 1000 {
		o.Traces(spans("too many"))
	}
	assert.Equal(t, Capacity/2+1000, o.refused())
	assert.Equal(t, 1, o.log.Len(), "the log is not flooded")
}

func TestSlowPipelineIsNotBusyForEver(t *testing.T) {
	goOn := make(chan struct{})
	next := &pipeline{answer: func(int, ptrace.Traces) error { <-goOn; return nil }}
	o := open(t, Options{Traces: next})
	o.Traces(many(Capacity))
	assert.True(t, o.Busy())
	close(goOn)
	require.Eventually(t, func() bool { return !o.Busy() }, patience, time.Millisecond)
	assert.Zero(t, o.refused())
}

func TestSignalsDoNotDelayEachOther(t *testing.T) {
	next := newHanging(t, false)
	taken := make(chan int, 1)
	logs, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		taken <- ld.LogRecordCount()
		return nil
	})
	require.NoError(t, err)
	o := open(t, Options{Traces: next, Logs: logs})
	o.Traces(spans("a"))
	<-next.began
	o.Logs(records(3))
	select {
	case n := <-taken:
		assert.Equal(t, 3, n)
	case <-time.After(patience):
		t.Fatal("log records wait for spans")
	}
}

func TestShutdownWithHangingPipeline(t *testing.T) {
	for name, heeds := range map[string]bool{"that heeds its context": true, "that ignores its context": false} {
		t.Run(name, func(t *testing.T) {
			next := newHanging(t, heeds)
			o := open(t, Options{Traces: next, Retry: retrying()})
			o.Traces(spans("a"))
			<-next.began
			o.Traces(spans("b", "c"))
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			ended := make(chan struct{})
			go func() { defer close(ended); o.Shutdown(ctx) }()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("Shutdown hangs")
			}
			assert.GreaterOrEqual(t, o.refused(), 2, "what waited counts as refused")
			o.Traces(spans("d"))
			assert.Empty(t, next.began, "nothing is offered any more")
		})
	}
}

func TestShutdownInterruptsRetry(t *testing.T) {
	retry := retrying()
	retry.InitialInterval, retry.MaxInterval = time.Hour, time.Hour
	next := &pipeline{answer: func(int, ptrace.Traces) error { return errBusy }}
	o := open(t, Options{Traces: next, Retry: retry})
	o.Traces(spans("a"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	o.Shutdown(ctx)
	require.Eventually(t, func() bool { return o.refused() == 1 }, patience, time.Millisecond)
}

func TestWithoutPipelines(t *testing.T) {
	o := open(t, Options{})
	o.Traces(spans("a"))
	o.Logs(records(1))
	assert.False(t, o.Busy())
	o.end()
}
