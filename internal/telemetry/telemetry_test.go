//go:build linux

package telemetry

import (
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelgoroutine/goroutinereceiver/internal/buckets"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

var scope = Scope{Name: "scope", Version: "1"}

// wall is the distance of the test's clocks.
const wall = int64(1_700_000_000e9)

func testClock() *Clock {
	return newClock(func(clock int32) int64 {
		if clock == 0 { // CLOCK_REALTIME
			return wall + 1
		}
		return 1
	})
}

func testProcess() *Process {
	resource := pcommon.NewResource()
	resource.Attributes().PutStr("service.name", "shop")
	return NewProcess(Identity{BootID: "boot", PID: 7, StartTime: 99}, resource, Program{Symbols: &goexe.Binary{}, WaitReasons: []string{"", "chan receive"}}, 0)
}

var parent = &lifecycle.Goroutine{GoID: 1, Tree: lifecycle.Tree{Root: 1}, Start: 100_000, End: 900_000}

func child() *lifecycle.Goroutine {
	g := &lifecycle.Goroutine{
		GoID: 2, ParentGoID: 1, Tree: lifecycle.Tree{Root: 1}, Parent: lifecycle.Ref{GoID: 1, Tree: lifecycle.Tree{Root: 1}},
		Start: 200_000, End: 800_000,
		Intervals: []lifecycle.Interval{
			{Start: 200_000, End: 300_000, State: lifecycle.Runnable},
			{Start: 300_000, End: 500_000, State: lifecycle.Waiting, Reason: 1},
			{Start: 500_000, End: 800_000, State: lifecycle.Running, TID: 11},
		},
		Lost: 5,
	}
	g.Folded[lifecycle.Syscall] = lifecycle.Total{Count: 3, Nanoseconds: 30_000}
	g.Dropped[lifecycle.Running] = lifecycle.Total{Count: 4, Nanoseconds: 400_000}
	g.Totals[lifecycle.Running] = lifecycle.Total{Count: 6, Nanoseconds: uint64(7 * time.Second)}
	return g
}

// add returns the spans of goroutines, with states as is asked for.
func add(states States, goroutines ...*lifecycle.Goroutine) []ptrace.Span {
	return addAs(SpanOptions{States: states, Noise: NoiseFold}, goroutines...)
}

func addAs(options SpanOptions, goroutines ...*lifecycle.Goroutine) []ptrace.Span {
	s := NewSpans(scope, testClock(), options)
	p := testProcess()
	for _, g := range goroutines {
		s.Add(p, g)
	}
	var spans []ptrace.Span
	for _, rs := range s.Take().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				spans = append(spans, span)
			}
		}
	}
	return spans
}

func attributes(m pcommon.Map) map[string]any { return m.AsRaw() }

// TestQueuedDuration has the time that an item of a channel has waited for whom it reaches on the span of what is done with it.
func TestQueuedDuration(t *testing.T) {
	c := child()
	c.Cause, c.Queued = lifecycle.Exact, 1_500_000
	for _, s := range add(StateNone, parent, c) {
		want := map[int64]any{1: nil, 2: 0.0015}[s.Attributes().AsRaw()["go.goroutine.id"].(int64)]
		if got := s.Attributes().AsRaw()["go.goroutine.queued.duration"]; got != want {
			t.Errorf("%s: %v, want %v", s.Name(), got, want)
		}
	}
}

func TestSpanOfGoroutine(t *testing.T) {
	spans := add(StateSpans, parent, child())
	if len(spans) != 5 {
		t.Fatalf("%d spans, want 2 goroutines and 3 states", len(spans))
	}
	p, c := spans[0], spans[1]
	if c.ParentSpanID() != p.SpanID() || c.TraceID() != p.TraceID() || c.SpanID() == p.SpanID() || !p.ParentSpanID().IsEmpty() {
		t.Errorf("the child is %v in %v under %v, its creator %v in %v", c.SpanID(), c.TraceID(), c.ParentSpanID(), p.SpanID(), p.TraceID())
	}
	if c.StartTimestamp() != pcommon.Timestamp(wall+200_000) || c.EndTimestamp() != pcommon.Timestamp(wall+800_000) || c.Kind() != ptrace.SpanKindInternal {
		t.Errorf("it is %v from %d to %d", c.Kind(), c.StartTimestamp(), c.EndTimestamp())
	}
	got := attributes(c.Attributes())
	for name, want := range map[string]any{
		"go.goroutine.id": int64(2), "go.goroutine.parent.id": int64(1), "go.goroutine.ending": "exit",
		"go.goroutine.running.duration": 7.0, "go.goroutine.running.count": int64(6), "go.goroutine.waiting.count": nil, "go.goroutine.waiting.duration": nil,
		"go.goroutine.dropped.count": int64(4), "go.goroutine.dropped.duration": 0.0004,
		"go.goroutine.folded.count": int64(3), "go.goroutine.folded.duration": 0.00003, "go.goroutine.events.lost": int64(5), "code.function.name": "unknown",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for i, want := range []struct {
		name       string
		start, end int64
	}{{"runnable (waits for a CPU)", 200_000, 299_000}, {"chan receive", 300_000, 499_000}, {"running", 500_000, 799_000}} {
		s := spans[2+i]
		if s.Name() != want.name || s.ParentSpanID() != c.SpanID() || s.TraceID() != c.TraceID() ||
			s.StartTimestamp() != pcommon.Timestamp(wall+want.start) || s.EndTimestamp() != pcommon.Timestamp(wall+want.end) {
			t.Errorf("state %d is %q from %d to %d under %v", i, s.Name(), s.StartTimestamp(), s.EndTimestamp(), s.ParentSpanID())
		}
	}
	if got := attributes(spans[3].Attributes()); got["go.goroutine.state"] != "waiting" || got["go.goroutine.wait.reason"] != "chan receive" {
		t.Errorf("the waiting state has %v", got)
	}
	if got := attributes(spans[4].Attributes()); got["thread.id"] != int64(11) {
		t.Errorf("the running state has %v", got)
	}
}

func TestStatesAsEvents(t *testing.T) {
	spans := add(StateEvents, child())
	if len(spans) != 1 || spans[0].Events().Len() != 3 {
		t.Fatalf("%d spans, the first with %d events", len(spans), spans[0].Events().Len())
	}
	if e := spans[0].Events().At(1); e.Name() != "chan receive" || e.Timestamp() != pcommon.Timestamp(wall+300_000) {
		t.Errorf("the event is %q at %d", e.Name(), e.Timestamp())
	}
}

func TestNoStates(t *testing.T) {
	spans := add(StateNone, child())
	if len(spans) != 1 || spans[0].Events().Len() != 0 {
		t.Fatalf("%d spans", len(spans))
	}
	for name := range attributes(spans[0].Attributes()) {
		if strings.HasPrefix(name, "go.goroutine.folded") || strings.HasPrefix(name, "go.goroutine.dropped") {
			t.Errorf("it has %s, although no state was to be shown", name)
		}
	}
}

// TestLongLivedCreator links to a creator that does not own the trace.
func TestLongLivedCreator(t *testing.T) {
	g := child()
	g.Follows, g.Tree = true, lifecycle.Tree{Root: 2}
	spans := add(StateNone, parent, g)
	p, c := spans[0], spans[1]
	if !c.ParentSpanID().IsEmpty() || c.TraceID() == p.TraceID() {
		t.Errorf("it is under %v in %v", c.ParentSpanID(), c.TraceID())
	}
	if c.Links().Len() != 1 || c.Links().At(0).SpanID() != p.SpanID() || c.Links().At(0).TraceID() != p.TraceID() {
		t.Errorf("it has %d links", c.Links().Len())
	}
}

func TestIDsAreStableAndDiffer(t *testing.T) {
	a, again := newIDs(Identity{"boot", 7, 99}), newIDs(Identity{"boot", 7, 99})
	if a != again {
		t.Error("the same process has other ids")
	}
	for _, other := range []Identity{{"other", 7, 99}, {"boot", 8, 99}, {"boot", 7, 100}} {
		if a == newIDs(other) {
			t.Errorf("%v has the same ids", other)
		}
	}
	seen := map[pcommon.SpanID]string{}
	for goid := uint64(1); goid < 200; goid++ {
		for segment := range 5 {
			for slice := range 20 {
				id := a.span(goid, segment, slice)
				if before, ok := seen[id]; ok || id.IsEmpty() {
					t.Fatalf("%v is of %s too", id, before)
				}
				seen[id] = "another span"
			}
		}
	}
	for _, found := range []int{1 << 31, 1 << 32, 1 << 33, 3 << 32} { // segments of goroutines that were there before
		id := a.span(1, found, 0)
		if before, ok := seen[id]; ok {
			t.Errorf("%v of segment %d is of %s too", id, found, before)
		}
		seen[id] = "another span"
	}
	if a.trace(lifecycle.Tree{Root: 1}) == a.trace(lifecycle.Tree{Root: 1, Segment: 1}) {
		t.Error("two trees have the same id")
	}
}

func TestLogRecord(t *testing.T) {
	l := NewLogs(scope, testClock())
	l.Add(testProcess(), child(), &lifecycle.Event{
		Kind: lifecycle.Transition, Time: 500, PID: 7, TID: 11, From: lifecycle.Running, To: lifecycle.Waiting, ToReason: 1,
	})
	if l.Len() != 1 {
		t.Fatalf("%d records", l.Len())
	}
	r := l.Take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	want := map[string]any{
		"go.goroutine.id": int64(2), "go.goroutine.state.from": "running", "go.goroutine.state.to": "waiting",
		"go.goroutine.wait.reason": "chan receive", "process.pid": int64(7), "thread.id": int64(11),
	}
	got := attributes(r.Attributes())
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s is %v, want %v", name, got[name], want[name])
		}
	}
	if len(got) != len(want) || r.EventName() != "go.goroutine.state_change" || r.Body().Str() != "running -> waiting: chan receive" {
		t.Errorf("the record is %q %q %v", r.EventName(), r.Body().Str(), got)
	}
	if span := add(StateNone, child())[0]; r.SpanID() != span.SpanID() || r.TraceID() != span.TraceID() {
		t.Error("the record has other ids than the span")
	}
	if l.Len() != 0 {
		t.Error("what was taken is still there")
	}
}

// The runtime gives a goroutine its id after it has created it: the record of that has it nevertheless.
func TestLogRecordOfCreation(t *testing.T) {
	l := NewLogs(scope, testClock())
	g := &lifecycle.Goroutine{}
	create := &lifecycle.Event{Kind: lifecycle.Created, Time: 400, PID: 7, TID: 10, To: lifecycle.Runnable}
	l.Add(testProcess(), g, create)
	*g = *child()
	l.Add(testProcess(), g, &lifecycle.Event{Kind: lifecycle.Transition, Time: 500, PID: 7, TID: 11, From: lifecycle.Runnable, To: lifecycle.Running})
	dies := &lifecycle.Goroutine{}
	l.Add(testProcess(), dies, create)
	l.End(testProcess(), dies)
	l.End(testProcess(), dies)
	var all []plog.LogRecord
	for _, rl := range l.Take().ResourceLogs().All() {
		for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
			all = append(all, r)
		}
	}
	if len(all) != 3 {
		t.Fatalf("%d records, want 3", len(all))
	}
	span := add(StateNone, child())[0]
	for i, want := range []struct {
		at   int64
		body string
		tid  int64
		id   any
	}{{400, "dead -> runnable", 10, int64(2)}, {500, "runnable -> running", 11, int64(2)}, {400, "dead -> runnable", 10, nil}} {
		r, a := all[i], attributes(all[i].Attributes())
		if r.Timestamp() != pcommon.Timestamp(wall+want.at) || r.Body().Str() != want.body || a["thread.id"] != want.tid || a["go.goroutine.id"] != want.id {
			t.Errorf("record %d is %q at %d with %v", i, r.Body().Str(), r.Timestamp(), a)
		}
		if named := want.id != nil; named != (r.SpanID() == span.SpanID()) || named != (r.TraceID() == span.TraceID()) {
			t.Errorf("record %d is of span %v in trace %v", i, r.SpanID(), r.TraceID())
		}
	}
	if len(l.unnamed) != 0 {
		t.Error("goroutines are remembered for ever")
	}
}

// All that is made says which release of the conventions its names are of.
func TestSchemaURL(t *testing.T) {
	p := testProcess()
	urls := []string{tracesOf(p, StateSpans).ResourceSpans().At(0).SchemaUrl(), logsOf(p).ResourceLogs().At(0).SchemaUrl(), metricsOf(p).ResourceMetrics().At(0).SchemaUrl()}
	for _, url := range urls {
		if url != semconv.SchemaURL {
			t.Errorf("the schema is %q, want %q", url, semconv.SchemaURL)
		}
	}
}

func TestMetrics(t *testing.T) {
	builder := metadata.NewMetricsBuilder(metadata.NewDefaultMetricsBuilderConfig(), receivertest.NewNopSettings(metadata.Type))
	m := NewMetrics(scope, testClock(), MetricsOptions{Builder: builder, Histograms: DefaultHistogramsConfig(), TopBlocked: 20})
	f := ProcessStats{Process: testProcess(), Start: 1000, Time: 2000}
	f.Counts.Live[lifecycle.Waiting] = 3
	f.Counts.Time[lifecycle.Running] = uint64(1500 * time.Millisecond)
	f.Counts.Created, f.Counts.Exited = 10, 7
	f.Histograms = map[lifecycle.HistogramKey]*lifecycle.Histogram{
		{Kind: lifecycle.Schedule}:        {Buckets: map[int]uint64{100: 2, 103: 1}, Count: 3, Sum: uint64(time.Second)},
		{Kind: lifecycle.Wait, Reason: 1}: {Buckets: map[int]uint64{200: 4}, Count: 4, Sum: 8},
	}
	byName := map[string]pmetric.Metric{}
	made := m.Make([]ProcessStats{f})
	if made.ResourceMetrics().Len() != 1 || attributes(made.ResourceMetrics().At(0).Resource().Attributes())["service.name"] != "shop" {
		t.Fatalf("%d resources", made.ResourceMetrics().Len())
	}
	for _, metric := range made.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		byName[metric.Name()] = metric
	}
	for _, p := range byName["go.goroutine.count"].Sum().DataPoints().All() {
		want := int64(0)
		if state, _ := p.Attributes().Get("go.goroutine.state"); state.Str() == "waiting" {
			want = 3
		}
		if p.IntValue() != want || p.StartTimestamp() != pcommon.Timestamp(wall+1000) || p.Timestamp() != pcommon.Timestamp(wall+2000) {
			t.Errorf("%v is %d", attributes(p.Attributes()), p.IntValue())
		}
	}
	if n := byName["go.goroutine.created"].Sum().DataPoints().At(0).IntValue(); n != 10 {
		t.Errorf("%d created", n)
	}
	h := byName["go.schedule.duration"].ExponentialHistogram()
	if h.AggregationTemporality() != pmetric.AggregationTemporalityCumulative || byName["go.schedule.duration"].Unit() != "s" {
		t.Errorf("the histogram is %v in %q", h.AggregationTemporality(), byName["go.schedule.duration"].Unit())
	}
	p := h.DataPoints().At(0)
	if got := p.Positive().BucketCounts().AsRaw(); len(got) != 4 || got[0] != 2 || got[3] != 1 {
		t.Errorf("the buckets are %v", got)
	}
	if p.Scale() != 3 || p.Positive().Offset() != buckets.First+100 || p.Count() != 3 || p.Sum() != 1 {
		t.Errorf("scale %d, offset %d, count %d, sum %v", p.Scale(), p.Positive().Offset(), p.Count(), p.Sum())
	}
	wait := byName["go.goroutine.wait.duration"].ExponentialHistogram().DataPoints().At(0)
	if got := attributes(wait.Attributes()); got["go.goroutine.wait.reason"] != "chan receive" {
		t.Errorf("the wait has %v", got)
	}
	if _, ok := byName["go.goroutine.lifetime"]; ok {
		t.Error("a histogram without values is exported")
	}
}

func TestResourceNames(t *testing.T) {
	if got := programName("example.com/shop/cmd/api/v2"); got != "api" {
		t.Errorf("the program is called %q", got)
	}
	if got := programName("command-line-arguments"); got != "" {
		t.Errorf("the program is called %q", got)
	}
	got := parseAttributes("service.name=shop%20one, a = b,broken,c=%zz")
	if len(got) != 2 || got["service.name"] != "shop one" || got["a"] != "b" {
		t.Errorf("the attributes are %v", got)
	}
}

// TestResource describes the test's own process: secrets of its environment and command line are not told unless they are asked for.
func TestResource(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "set too late for the kernel to know")
	self, err := processes.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	config := metadata.DefaultResourceAttributesConfig()
	binary := &goexe.Binary{GoVersion: "go1.26.8", MainPath: "example.com/shop/v2", MainVersion: "v2.0.1", Revision: "abc"}
	got := attributes(NewResource(metadata.NewResourceBuilder(config), self, binary).Attributes())
	want := map[string]any{
		"process.pid": int64(self.PID), "process.executable.path": self.Executable, "process.executable.name": self.Name(),
		"process.runtime.name": "go", "process.runtime.version": "go1.26.8", "service.name": "shop", "service.version": "v2.0.1",
		"vcs.ref.head.revision": "abc", "service.instance.id": IdentityOf(self).instance(),
	}
	if id := thisHost().id; id != "" {
		want["host.id"] = id
	}
	if want["host.name"], err = os.Hostname(); err != nil {
		t.Fatal(err)
	}
	if id := self.ContainerID(); id != "" {
		want["container.id"] = id
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the resource is %v, want %v", got, want)
	}
	config.ProcessCommandLine.Enabled = true
	got = attributes(NewResource(metadata.NewResourceBuilder(config), self, binary).Attributes())
	if got["process.command_line"] != strings.Join(os.Args, " ") {
		t.Errorf("the command line is %v", got["process.command_line"])
	}
}

// A process's own word on its service counts. Without, its instance is its own, and the same for every collector.
func TestResourceOfEnvironment(t *testing.T) {
	describe := func(environment ...string) map[string]any {
		cmd := exec.Command("sleep", "60")
		cmd.Env = environment
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		p, err := processes.Read(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		config := metadata.DefaultResourceAttributesConfig()
		got := attributes(NewResource(metadata.NewResourceBuilder(config), p, &goexe.Binary{MainPath: "example.com/shop", MainVersion: "v1"}).Attributes())
		if again := attributes(NewResource(metadata.NewResourceBuilder(config), p, &goexe.Binary{MainPath: "example.com/shop", MainVersion: "v1"}).Attributes()); !reflect.DeepEqual(got, again) {
			t.Errorf("it is described as %v and then as %v", got, again)
		}
		return got
	}
	one, other := describe(), describe()
	for _, r := range []map[string]any{one, other} {
		if id, _ := r["service.instance.id"].(string); len(id) != 36 || id[14] != '5' {
			t.Errorf("the instance is %q, want a UUID of version 5", id)
		}
		for _, name := range []string{"service.namespace", "deployment.environment.name"} {
			if v, is := r[name]; is {
				t.Errorf("nobody said that %s is %v", name, v)
			}
		}
	}
	if one["service.instance.id"] == other["service.instance.id"] {
		t.Error("two processes are one instance")
	}
	got := describe("OTEL_SERVICE_NAME=till", "OTEL_RESOURCE_ATTRIBUTES=service.name=no,service.instance.id=till%2D1,service.namespace=shops,"+
		"deployment.environment.name=staging,service.version=v2,host.name=h,host.id=m")
	for name, want := range map[string]any{
		"service.name": "till", "service.instance.id": "till-1", "service.namespace": "shops", "deployment.environment.name": "staging",
		"service.version": "v2", "host.name": "h", "host.id": "m",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestWakerOfSpan(t *testing.T) {
	c := child()
	c.Intervals[1].Waker = lifecycle.Ref{GoID: 1, Tree: lifecycle.Tree{Root: 1}}
	spans := add(StateSpans, parent, c)
	wait := spans[3]
	if id, _ := wait.Attributes().Get("go.goroutine.waker.id"); id.Int() != 1 || wait.Links().Len() != 1 {
		t.Fatalf("the wait has attributes %v and %d links", wait.Attributes().AsRaw(), wait.Links().Len())
	}
	if l := wait.Links().At(0); l.SpanID() != spans[0].SpanID() || l.TraceID() != spans[0].TraceID() {
		t.Error("the link is not to the span of the waker")
	}
	for i, s := range spans {
		if _, ok := s.Attributes().Get("go.goroutine.waker.id"); ok != (i == 3) {
			t.Errorf("%s has a waker: %v", s.Name(), ok)
		}
	}
}

// TestKinds names a request by who serves it, and says what has begun a piece of work.
func TestKinds(t *testing.T) {
	answer := lifecycle.Handler{Function: "example.com/shop.answer", Depth: 4}
	for name, test := range map[string]struct {
		begunBy lifecycle.Source
		handler lifecycle.Handler
		kind    ptrace.SpanKind
		name    string
	}{
		"a request":                          {lifecycle.Network, answer, ptrace.SpanKindServer, "shop.answer"},
		"a request that nobody knows":        {lifecycle.Network, lifecycle.Handler{}, ptrace.SpanKindServer, "goroutine"},
		"a message":                          {lifecycle.Channel, lifecycle.Handler{}, ptrace.SpanKindConsumer, "goroutine"},
		"what comes from time to time":       {lifecycle.Timer, lifecycle.Handler{}, ptrace.SpanKindInternal, "goroutine"},
		"all that a goroutine has ever done": {lifecycle.Elsewhere, answer, ptrace.SpanKindInternal, "goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			g := child()
			g.BegunBy, g.Handler = test.begunBy, test.handler
			for i, s := range add(StateSpans, g) {
				kind, name := test.kind, test.name
				if i > 0 {
					kind, name = ptrace.SpanKindInternal, s.Name()
				}
				if s.Kind() != kind || s.Name() != name {
					t.Errorf("it is %v %q", s.Kind(), s.Name())
				}
			}
		})
	}
}

// TestStatesWithinSpans has a goroutine wait for a span of the program's own: the wait is below that, with a link to the goroutine.
func TestStatesWithinSpans(t *testing.T) {
	within := lifecycle.SpanContext{TraceID: [16]byte{7}, SpanID: [8]byte{8}}
	g := child()
	g.Intervals[1].Within = &within
	spans := add(StateSpans, g)
	own, before, wait := spans[0], spans[1], spans[2]
	if before.TraceID() != own.TraceID() || before.ParentSpanID() != own.SpanID() {
		t.Errorf("the state before is below %v in %v", before.ParentSpanID(), before.TraceID())
	}
	if wait.TraceID() != within.TraceID || wait.ParentSpanID() != within.SpanID {
		t.Errorf("it is below %v in %v", wait.ParentSpanID(), wait.TraceID())
	}
	if got := attributes(wait.Attributes())["go.goroutine.id"]; got != int64(2) {
		t.Errorf("it is of goroutine %v", got)
	}
	if wait.Links().Len() != 1 {
		t.Fatalf("it has %d links", wait.Links().Len())
	}
	link := wait.Links().At(0)
	if kind, _ := link.Attributes().Get("go.goroutine.link"); kind.Str() != "goroutine" || link.TraceID() != own.TraceID() || link.SpanID() != own.SpanID() {
		t.Errorf("its link leads to %v", link.SpanID())
	}
}
