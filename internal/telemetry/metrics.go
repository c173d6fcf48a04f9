//go:build linux

package telemetry

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelgoroutine/goroutinereceiver/internal/buckets"
	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// ProcessStats are one process's exact counts and distributions at a time.
type ProcessStats struct {
	Process *Process
	// Start and Time are in ns of CLOCK_MONOTONIC: since when, and until when, the figures count.
	Start, Time int64
	lifecycle.Totals
	// Last says that the process is left: there will be no other figures of it.
	Last bool
	// Estimated is what the goroutines may have done while nobody looked, nil if there was no such time.
	Estimated *lifecycle.Totals
	// Engine names what sees the process, empty if nothing does but looks at its memory.
	Engine string
	// CPU is what the process's threads got of the machine's CPUs since Start, nil if that was never known.
	CPU *cpuusage.Usage
	// Overhead is what the probes cost, nil if nobody asks.
	Overhead *Overhead
	// SampledLines is how long sampled goroutines have waited where, of waits that have ended, in ns; nil if nobody wants to know, or what
	// sees the process tells Lines of all. An address of 0 is any that is not known.
	SampledLines map[lifecycle.Line]uint64
	// Waiting and Blocked are how many goroutines wait, by reason, and where they are blocked; Changes is what is new of that. They are
	// nil if nobody has looked.
	Waiting map[uint8]int64
	Blocked map[waitstats.Site]int64
	Changes waitstats.Changes
	// Creators is from where goroutines were created that have begun to be blocked, as far as that is known; nil if it is of none.
	Creators Creators
	// CountsOnly says that the figures are of a look at the process, and all but the numbers of goroutines is not known.
	CountsOnly bool
	// Taken is to be called when the Last stats are not needed any more; nil if nobody waits for that.
	Taken func()
}

// Overhead is what following a process costs it.
type Overhead struct {
	// Level names how much is seen of the process.
	Level string
	// Share is the probes' share of the process's processor time of late, over times with and without them.
	Share float64
	// Coverage is how much was seen.
	Coverage Coverage
}

// Found takes how many goroutines there are, as a look at the process has found.
func (f *ProcessStats) Found(c waitstats.Count) {
	f.Counts.Live, f.Waiting, f.Blocked = c.Live, c.Waiting, c.Blocked
}

// Switch turns a metric on or off.
type Switch struct {
	Enabled bool `mapstructure:"enabled"`
}

// HistogramsConfig are the switches of the metrics that mdatagen cannot generate: exponential histograms.
type HistogramsConfig struct {
	Lifetime Switch `mapstructure:"go.goroutine.lifetime"`
	Run      Switch `mapstructure:"go.goroutine.run.duration"`
	Syscall  Switch `mapstructure:"go.goroutine.syscall.duration"`
	Wait     Switch `mapstructure:"go.goroutine.wait.duration"`
	Schedule Switch `mapstructure:"go.schedule.duration"`
}

// DefaultHistogramsConfig has all on.
func DefaultHistogramsConfig() HistogramsConfig {
	on := Switch{Enabled: true}
	return HistogramsConfig{Lifetime: on, Run: on, Syscall: on, Wait: on, Schedule: on}
}

// histogram describes one metric.
type histogram struct {
	kind              lifecycle.HistogramKind
	name, description string
}

func (c HistogramsConfig) enabled() []histogram {
	var on []histogram
	for _, h := range []struct {
		Switch
		histogram
	}{
		{c.Lifetime, histogram{lifecycle.Lifetime, "go.goroutine.lifetime", "Time from the creation of a goroutine to its exit."}},
		{c.Run, histogram{lifecycle.Run, "go.goroutine.run.duration", "Time that a goroutine ran on a thread at a stretch."}},
		{c.Syscall, histogram{lifecycle.SyscallTime, "go.goroutine.syscall.duration", "Time that a goroutine was in a system call or in C."}},
		{c.Wait, histogram{lifecycle.Wait, "go.goroutine.wait.duration", "Time that a goroutine waited in the runtime."}},
		{c.Schedule, histogram{lifecycle.Schedule, "go.schedule.duration", "Time that a goroutine was ready to run before it ran."}},
	} {
		if h.Enabled {
			on = append(on, h.histogram)
		}
	}
	return on
}

// Metrics makes metrics of figures.
type Metrics struct {
	scope      Scope
	clock      *Clock
	builder    *metadata.MetricsBuilder
	histograms []histogram
	functions  Functions
	topBlocked int
	topLines   int
}

// Functions say which counts are told by the function that goroutines were started for, and how many functions of a process are told apart.
type Functions struct {
	Created, Exited bool
	Top             int
}

// MetricsOptions say what is told how.
type MetricsOptions struct {
	// Builder records what mdatagen can generate.
	Builder    *metadata.MetricsBuilder
	Histograms HistogramsConfig
	Functions  Functions
	// TopBlocked is how many places of a process that created blocked goroutines are told apart.
	TopBlocked int
	// TopLines is how many lines of a process at which goroutines wait are told apart for each reason.
	TopLines int
}

// NewMetrics returns a Metrics.
func NewMetrics(scope Scope, clock *Clock, o MetricsOptions) *Metrics {
	return &Metrics{
		scope: scope, clock: clock, builder: o.Builder, histograms: o.Histograms.enabled(), functions: o.Functions, topBlocked: o.TopBlocked,
		topLines: o.TopLines,
	}
}

var metricStates = map[lifecycle.State]metadata.AttributeGoGoroutineState{
	lifecycle.Runnable: metadata.AttributeGoGoroutineStateRunnable,
	lifecycle.Running:  metadata.AttributeGoGoroutineStateRunning,
	lifecycle.Syscall:  metadata.AttributeGoGoroutineStateSyscall,
	lifecycle.Waiting:  metadata.AttributeGoGoroutineStateWaiting,
}

// Make makes the metrics of some processes.
func (m *Metrics) Make(all []ProcessStats) pmetric.Metrics {
	made := pmetric.NewMetrics()
	reading := m.clock.Reading()
	for _, f := range all {
		start, now := f.Process.start.timestamp(f.Start, reading), reading.Timestamp(f.Time)
		m.recordCounts(f, now)
		m.recordBlocked(f, now)
		m.recordCPU(f.CPU, now)
		m.recordWaits(f, now)
		m.recordEngine(f, now)
		m.recordOverhead(f, now)
		for _, k := range f.kinds() {
			m.recordTimes(k, now)
			m.recordRuns(k, f.Process, now)
			m.recordSystem(k, f.Process, now)
			m.recordLives(k, f.Process, now)
		}
		one := m.builder.Emit(metadata.WithResource(f.Process.resource), metadata.WithStartTimeOverride(start))
		leaveMarks(one)
		m.addHistograms(one, f, reading)
		one.ResourceMetrics().MoveAndAppendTo(made.ResourceMetrics())
	}
	return made
}

// Taken says that a pipeline has taken the metrics of these figures: exemplars are offered until then.
func (m *Metrics) Taken(all []ProcessStats) {
	for _, f := range all {
		f.Process.exemplars.taken()
	}
}

// recordCounts tells how many goroutines are in each state. Those that wait are told by reason as far as known; the builder sums up what
// the configuration does not want to see apart.
func (m *Metrics) recordCounts(f ProcessStats, now pcommon.Timestamp) {
	for state, attribute := range metricStates {
		left := f.Counts.Live[state]
		if state == lifecycle.Waiting {
			for reason, n := range f.Waiting {
				m.builder.RecordGoGoroutineCountDataPoint(now, n, attribute, f.Process.waitReason(reason))
				left -= n
			}
		}
		if left != 0 || state != lifecycle.Waiting || len(f.Waiting) == 0 {
			m.builder.RecordGoGoroutineCountDataPoint(now, left, attribute, "")
		}
	}
}

// kind are figures of one kind: what was seen, or what is estimated.
type kind struct {
	lifecycle.Totals
	estimated bool
	starts    *starts
	runs      *shares[string]
}

func (f *ProcessStats) kinds() []kind {
	if f.CountsOnly {
		return nil
	}
	kinds := []kind{{f.Totals, false, &f.Process.starts, &f.Process.runs}}
	if f.Estimated != nil {
		kinds = append(kinds, kind{*f.Estimated, true, &f.Process.estimatedStarts, &f.Process.estimatedRuns})
	}
	return kinds
}

// leaveMarks leaves the marks of what is no exact figure of all goroutines only where they say something.
func leaveMarks(made pmetric.Metrics) {
	isNone := func(name string, v pcommon.Value) bool {
		return (name == attributeEstimated || name == attributeSampled) && !v.Bool()
	}
	for _, rm := range made.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				if metric.Type() != pmetric.MetricTypeSum {
					continue
				}
				for _, p := range metric.Sum().DataPoints().All() {
					p.Attributes().RemoveIf(isNone)
				}
			}
		}
	}
}

func (m *Metrics) recordEngine(f ProcessStats, now pcommon.Timestamp) {
	if f.Engine == "" {
		return
	}
	for name, engine := range metadata.MapAttributeGoGoroutineEngine {
		m.builder.RecordGoGoroutineEngineStatusDataPoint(now, oneIf(name == f.Engine), engine)
	}
}

// oneIf returns 1 for what is so, 0 for what is not: a status that was left must not stay 1.
func oneIf(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

func (m *Metrics) recordOverhead(f ProcessStats, now pcommon.Timestamp) {
	if f.Overhead == nil {
		return
	}
	m.builder.RecordGoGoroutineOverheadShareDataPoint(now, f.Overhead.Share)
	seen, traced := f.Process.coverage.since(f.Overhead.Coverage)
	m.builder.RecordGoGoroutineOverheadCoverageDataPoint(now, seen, metadata.AttributeGoGoroutineOverheadSignalMetrics)
	m.builder.RecordGoGoroutineOverheadCoverageDataPoint(now, traced, metadata.AttributeGoGoroutineOverheadSignalTraces)
	for name, level := range metadata.MapAttributeGoGoroutineOverheadLevel {
		m.builder.RecordGoGoroutineOverheadStatusDataPoint(now, oneIf(name == f.Overhead.Level), level)
	}
}

func (m *Metrics) recordTimes(k kind, now pcommon.Timestamp) {
	for state, attribute := range metricStates {
		m.builder.RecordGoGoroutineTimeDataPoint(now, time.Duration(k.Counts.Time[state]).Seconds(), attribute, k.estimated)
	}
}

// recordRuns tells for how long goroutines ran, by the functions that they were started for.
func (m *Metrics) recordRuns(k kind, p *Process, now pcommon.Timestamp) {
	if k.Runs == nil {
		return
	}
	named := map[string]uint64{}
	for pc, ns := range k.Runs {
		named[cmp.Or(p.startOf(pc).Function, unknownFunction)] += ns
	}
	placed, rest := k.runs.divide(named, k.Counts.Time[lifecycle.Running], m.functions.Top)
	placed[other] = rest
	for name, ns := range placed {
		m.builder.RecordGoGoroutineRunTimeDataPoint(now, time.Duration(ns).Seconds(), name, k.estimated)
	}
}

// recordSystem tells for how long goroutines of the runtime itself ran.
func (m *Metrics) recordSystem(k kind, p *Process, now pcommon.Timestamp) {
	named := map[string]time.Duration{}
	for pc, ns := range k.System {
		named[cmp.Or(p.startOf(pc).Function, unknownFunction)] += time.Duration(ns)
	}
	for name, ran := range named {
		m.builder.RecordGoGoroutineSystemTimeDataPoint(now, ran.Seconds(), name, k.estimated)
	}
}

// recordLives tells how many goroutines have been created and have exited, by function where that is asked for.
func (m *Metrics) recordLives(k kind, p *Process, now pcommon.Timestamp) {
	all := map[string]lifecycle.Lives{"": {Created: k.Counts.Created, Exited: k.Counts.Exited}}
	created, exited := all, all
	if m.functions.Created || m.functions.Exited {
		divided := k.starts.divide(p.byFunction(k.Functions), all[""], m.functions.Top)
		if m.functions.Created {
			created = divided
		}
		if m.functions.Exited {
			exited = divided
		}
	}
	for name, n := range created {
		m.builder.RecordGoGoroutineCreatedDataPoint(now, int64(n.Created), name, k.estimated)
	}
	for name, n := range exited {
		m.builder.RecordGoGoroutineExitedDataPoint(now, int64(n.Exited), name, k.estimated)
	}
}

func (m *Metrics) recordBlocked(f ProcessStats, now pcommon.Timestamp) {
	top, rest := waitstats.Top(f.Blocked, m.topBlocked)
	for _, b := range top {
		at := f.Process.callAt(b.CreationPC)
		m.builder.RecordGoGoroutineBlockedDataPoint(now, b.Count, f.Process.waitReason(b.Reason), f.Process.creatorAt(b.CreationPC), at.File, int64(at.Line))
	}
	for reason, n := range rest {
		m.builder.RecordGoGoroutineBlockedDataPoint(now, n, f.Process.waitReason(reason), other, "", 0)
	}
}

func (m *Metrics) addHistograms(to pmetric.Metrics, f ProcessStats, reading Reading) {
	if to.ResourceMetrics().Len() == 0 {
		f.Process.resource.CopyTo(to.ResourceMetrics().AppendEmpty().Resource())
		to.ResourceMetrics().At(0).SetSchemaUrl(semconv.SchemaURL)
		to.ResourceMetrics().At(0).ScopeMetrics().AppendEmpty()
	}
	sm := to.ResourceMetrics().At(0).ScopeMetrics().At(0)
	m.scope.set(sm.Scope())
	newest := f.Process.exemplars.offer()
	for _, h := range m.histograms {
		var points pmetric.ExponentialHistogramDataPointSlice
		for _, k := range f.kinds() {
			for _, key := range k.distributions(h.kind) {
				if points == (pmetric.ExponentialHistogramDataPointSlice{}) {
					points = newHistogram(sm.Metrics().AppendEmpty(), h)
				}
				p := points.AppendEmpty()
				p.SetStartTimestamp(f.Process.start.timestamp(f.Start, reading))
				p.SetTimestamp(reading.Timestamp(f.Time))
				if key.Kind == lifecycle.Wait {
					p.Attributes().PutStr(attributeWaitReason, f.Process.waitReason(key.Reason))
				}
				fill(p, k.Histograms[key])
				if k.estimated {
					p.Attributes().PutBool(attributeEstimated, true)
				} else if r := newest[key]; r != nil {
					r.addTo(p.Exemplars(), f.Process, reading)
				}
			}
		}
	}
}

// distributions returns the keys of those that make one metric, in the order of wait reasons.
func (k kind) distributions(of lifecycle.HistogramKind) (keys []lifecycle.HistogramKey) {
	for key := range k.Histograms {
		if key.Kind == of {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b lifecycle.HistogramKey) int { return int(a.Reason) - int(b.Reason) })
	return keys
}

func newHistogram(m pmetric.Metric, h histogram) pmetric.ExponentialHistogramDataPointSlice {
	m.SetName(h.name)
	m.SetDescription(h.description)
	m.SetUnit("s")
	e := m.SetEmptyExponentialHistogram()
	e.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return e.DataPoints()
}

func fill(p pmetric.ExponentialHistogramDataPoint, h *lifecycle.Histogram) {
	p.SetScale(buckets.Scale)
	p.SetCount(h.Count)
	if h.Count == 0 {
		p.SetSum(0) // as the data model demands
		return
	}
	p.SetSum(time.Duration(h.Sum).Seconds())
	indexes := slices.Sorted(maps.Keys(h.Buckets))
	first, last := indexes[0], indexes[len(indexes)-1]
	counts := make([]uint64, last-first+1)
	for i, n := range h.Buckets {
		counts[i-first] = n
	}
	p.Positive().SetOffset(int32(buckets.First + first))
	p.Positive().BucketCounts().FromRaw(counts)
}
