//go:build linux

package telemetry

import (
	"cmp"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// States says how a span tells of the intervals of its goroutine's life.
type States string

const (
	// StateSpans makes a child span of each.
	StateSpans States = "spans"
	// StateEvents makes a span event of each, at its beginning.
	StateEvents States = "events"
	// StateNone leaves them out.
	StateNone States = "none"
)

// Noise says what becomes of that which hides more than it tells.
type Noise string

const (
	// NoiseFold leaves it out, and counts it on the spans that it belongs to.
	NoiseFold Noise = "fold"
	// NoiseKeep shows it.
	NoiseKeep Noise = "keep"
)

// SpanOptions say how goroutines become spans.
type SpanOptions struct {
	States States
	Noise  Noise
}

// Scope is the instrumentation scope of all that the receiver makes.
type Scope struct {
	Name, Version string
}

func (s Scope) set(to pcommon.InstrumentationScope) {
	to.SetName(s.Name)
	to.SetVersion(s.Version)
}

// Spans gathers goroutines as spans.
type Spans struct {
	scope    Scope
	options  SpanOptions
	traces   ptrace.Traces
	resource map[*Process]ptrace.SpanSlice
	clock    *Clock
	reading  Reading
	spent    map[string]uint64 // in ns, by state and place; of summarize
}

// NewSpans returns an empty Spans.
func NewSpans(scope Scope, clock *Clock, options SpanOptions) *Spans {
	s := &Spans{scope: scope, clock: clock, options: options, spent: map[string]uint64{}}
	s.reset()
	return s
}

func (s *Spans) reset() {
	s.traces = ptrace.NewTraces()
	s.resource = map[*Process]ptrace.SpanSlice{}
}

// Len returns how many spans have been gathered.
func (s *Spans) Len() int { return s.traces.SpanCount() }

// Take returns what has been gathered since the last call.
func (s *Spans) Take() ptrace.Traces {
	t := s.traces
	s.reset()
	return t
}

func (s *Spans) spansOf(p *Process) ptrace.SpanSlice {
	if known, ok := s.resource[p]; ok {
		return known
	}
	if len(s.resource) == 0 {
		s.reading = s.clock.Reading()
	}
	rs := s.traces.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl(semconv.SchemaURL)
	p.resource.CopyTo(rs.Resource())
	ss := rs.ScopeSpans().AppendEmpty()
	s.scope.set(ss.Scope())
	s.resource[p] = ss.Spans()
	return ss.Spans()
}

// Add gathers a goroutine of a process.
func (s *Spans) Add(p *Process, g *lifecycle.Goroutine) {
	spans := s.spansOf(p)
	span := spans.AppendEmpty()
	span.SetTraceID(p.ids.trace(g.Tree))
	span.SetSpanID(p.ids.span(g.GoID, g.Segment, 0))
	span.SetKind(kindOf(g))
	start, end := s.reading.life(g)
	span.SetStartTimestamp(start)
	span.SetEndTimestamp(end)
	relate(span, p, g)
	describe(span, p, g)
	if g.Episodes == 0 {
		s.summarize(span.Attributes(), p, g)
	}
	folded := sum(g.Folded)
	switch s.options.States {
	case StateSpans:
		s.addStates(spans, span, p, g, &folded)
	case StateEvents:
		s.addEvents(span, p, g)
	case StateNone:
		return // of what nothing is to be shown, nothing is left out
	}
	putTotal(span.Attributes(), attributeFoldedCount, attributeFoldedDuration, folded)
	putTotal(span.Attributes(), attributeDroppedCount, attributeDroppedDuration, sum(g.Dropped))
}

// kindOf returns a goroutine's kind: what the network has begun serves a request, what another goroutine has begun through a channel consumes a message.
func kindOf(g *lifecycle.Goroutine) ptrace.SpanKind {
	switch g.BegunBy {
	case lifecycle.Network:
		return ptrace.SpanKindServer
	case lifecycle.Channel:
		return ptrace.SpanKindConsumer
	}
	return ptrace.SpanKindInternal
}

// addStates makes spans of a goroutine's intervals, and folds those that are too short to be seen.
func (s *Spans) addStates(spans ptrace.SpanSlice, of ptrace.Span, p *Process, g *lifecycle.Goroutine, folded *lifecycle.Total) {
	for i, interval := range g.Intervals {
		start, end := s.reading.between(interval)
		if end <= start && s.options.Noise != NoiseKeep {
			folded.Add(interval)
			continue
		}
		child := spans.AppendEmpty()
		child.SetTraceID(of.TraceID())
		child.SetParentSpanID(of.SpanID())
		child.SetSpanID(p.ids.span(g.GoID, g.Segment, i+1))
		child.SetKind(ptrace.SpanKindInternal)
		child.SetStartTimestamp(start)
		child.SetEndTimestamp(max(start, end))
		child.SetName(describeInterval(child.Attributes(), p, interval))
		if interval.Waker.Followed() {
			p.link(child, linkWaker, interval.Waker)
		}
		if within := interval.Within; within != nil {
			child.SetTraceID(within.TraceID)
			child.SetParentSpanID(within.SpanID)
			child.Attributes().PutInt(attributeGoID, int64(g.GoID))
			p.link(child, linkGoroutine, lifecycle.Ref{GoID: g.GoID, StartPC: g.StartPC, Segment: g.Segment, Tree: g.Tree})
		}
	}
}

// addEvents makes events of a goroutine's intervals.
func (s *Spans) addEvents(of ptrace.Span, p *Process, g *lifecycle.Goroutine) {
	for _, interval := range g.Intervals {
		event := of.Events().AppendEmpty()
		event.SetTimestamp(s.reading.Timestamp(interval.Start))
		event.SetName(describeInterval(event.Attributes(), p, interval))
	}
}

// relate sets the parent, or a link where a life continues another segment or its creator does not own the trace, and links to the spans
// of the program's own.
func relate(span ptrace.Span, p *Process, g *lifecycle.Goroutine) {
	joined := g.Joined != (lifecycle.SpanContext{})
	if g.Life.Followed() {
		p.link(span, linkLife, g.Life)
	}
	if g.Continues {
		p.link(span, linkPrevious, g.Previous)
	}
	switch {
	case joined:
		span.SetParentSpanID(g.Joined.SpanID)
		linkToCause(span, p, g)
	case !g.Parent.Followed():
	case g.Follows:
		linkToCause(span, p, g)
	default:
		span.SetParentSpanID(p.ids.span(g.Parent.GoID, g.Parent.Segment, 0))
	}
	for _, context := range g.Contexts {
		if context == g.Joined {
			continue
		}
		link := span.Links().AppendEmpty()
		link.SetTraceID(context.TraceID)
		link.SetSpanID(context.SpanID)
		link.Attributes().PutStr(attributeLink, linkWork)
	}
}

// What links lead to: the goroutine that created this one, or that ended the wait; the segment before; all that the goroutine did, of which this
// is a piece; the program's own span that it works for; of a state below such a span, the goroutine that is in it.
const (
	linkCreator   = "creator"
	linkWaker     = "waker"
	linkPrevious  = "previous"
	linkLife      = "life"
	linkWork      = "work"
	linkGoroutine = "goroutine"
)

// linkToCause adds a link to what a goroutine is, or may be, a part of: its creator, or of a piece of work the goroutine that brought it.
func linkToCause(span ptrace.Span, p *Process, g *lifecycle.Goroutine) {
	switch {
	case g.Continues || !g.Parent.Followed():
	case g.Cause == lifecycle.NoEpisode:
		p.link(span, linkCreator, g.Parent)
	default:
		p.link(span, linkWaker, g.Parent)
	}
}

// link adds a link to a segment of a goroutine of the process.
func (p *Process) link(from ptrace.Span, kind string, to lifecycle.Ref) {
	link := from.Links().AppendEmpty()
	link.SetTraceID(p.ids.trace(to.Tree))
	link.SetSpanID(p.ids.span(to.GoID, to.Segment, 0))
	a := link.Attributes()
	a.EnsureCapacity(2)
	a.PutStr(attributeLink, kind)
	p.putFunction(a, attributeFunction, to)
}

// putFunction names the function that a goroutine was started for, if that is known.
func (p *Process) putFunction(a pcommon.Map, name string, of lifecycle.Ref) {
	if of.StartPC == 0 {
		return
	}
	if function := p.startOf(of.StartPC).Function; function != "" {
		a.PutStr(name, function)
	}
}

var stateAttributes = func() (names [lifecycle.States]struct{ duration, count string }) {
	for s := lifecycle.Runnable; s < lifecycle.States; s++ {
		names[s].duration = "go.goroutine." + s.String() + ".duration"
		names[s].count = "go.goroutine." + s.String() + ".count"
	}
	return names
}()

func describe(span ptrace.Span, p *Process, g *lifecycle.Goroutine) {
	a := span.Attributes()
	a.EnsureCapacity(24)
	a.PutInt(attributeGoID, int64(g.GoID))
	if g.ParentGoID != 0 {
		a.PutInt(attributeParentGoID, int64(g.ParentGoID))
	}
	at := p.place(g.StartPC)
	start := at.start
	span.SetName(at.name)
	if g.Loop != "" {
		span.SetName(goName(valid(g.Loop)))
	}
	a.PutStr(attributeFunction, cmp.Or(start.Function, unknownFunction))
	putLine(a, attributeFile, attributeLine, start.File, start.Line)
	if call := p.callAt(g.CreationPC); call.Function != "" {
		a.PutStr(attributeCreator, call.Function)
		putLine(a, attributeCreatorFile, attributeCreatorLine, call.File, call.Line)
	}
	if !g.System { // which the runtime starts by the way
		putCaller(a, p.callerOf(g.CreationPC, g.Creator))
	}
	for s := lifecycle.Runnable; s < lifecycle.States; s++ {
		putSeconds(a, stateAttributes[s].duration, g.Totals[s].Nanoseconds)
		putCount(a, stateAttributes[s].count, int64(g.Totals[s].Count))
	}
	putIf(a, attributeSystem, g.System)
	putIf(a, attributePreexisting, g.Preexisting)
	putIf(a, attributeOutlives, g.Outlives)
	a.PutStr(attributeEnding, g.Ending.String())
	putSeconds(a, attributeLifetime, uint64(g.Lifetime))
	putCount(a, attributeSegment, int64(g.Ordinal()))
	putCount(a, attributeEpisodes, int64(g.Episodes))
	if g.Cause != lifecycle.NoEpisode {
		span.SetName(jobName(cmp.Or(valid(g.Loop), start.Function)))
		a.PutStr(attributeCause, g.Cause.String())
		putCount(a, attributeWaker, int64(g.Waker))
		putSeconds(a, attributeQueued, uint64(g.Queued))
	}
	if g.BegunBy != lifecycle.Elsewhere && g.Handler.Function != "" {
		span.SetName(requestName(g.Handler.Function))
	}
	putCount(a, attributeHelpers, int64(g.Helpers))
	putCount(a, attributeInTrace, int64(g.InTrace))
	putCount(a, attributeGoroutinesDropped, int64(g.Omitted))
	putCount(a, attributeEventsLost, int64(g.Lost))
}

func putLine(a pcommon.Map, fileName, lineName, file string, line int) {
	if file != "" {
		a.PutStr(fileName, file)
	}
	putCount(a, lineName, int64(line))
}

func putIf(a pcommon.Map, name string, is bool) {
	if is {
		a.PutBool(name, true)
	}
}

func putTotal(a pcommon.Map, countName, durationName string, t lifecycle.Total) {
	putCount(a, countName, int64(t.Count))
	putSeconds(a, durationName, t.Nanoseconds)
}

// sum returns the total over all states.
func sum(all [lifecycle.States]lifecycle.Total) (t lifecycle.Total) {
	for _, one := range all {
		t.Count += one.Count
		t.Nanoseconds += one.Nanoseconds
	}
	return t
}

func putSeconds(a pcommon.Map, name string, ns uint64) {
	if ns != 0 {
		a.PutDouble(name, time.Duration(ns).Seconds())
	}
}

func putCount(a pcommon.Map, name string, n int64) {
	if n != 0 {
		a.PutInt(name, n)
	}
}

// Of how many attributes an interval has: the most that one without a stack can, and what a stack adds.
const (
	intervalAttributes = 3
	stackAttributes    = 4
)

// describeInterval fills in what there is to say of an interval, and returns its name.
func describeInterval(a pcommon.Map, p *Process, i lifecycle.Interval) (name string) {
	at := p.siteOf(i)
	if i.Stack == nil {
		a.EnsureCapacity(intervalAttributes)
	} else {
		a.EnsureCapacity(intervalAttributes + stackAttributes)
	}
	a.PutStr(attributeState, i.State.String())
	if i.State == lifecycle.Waiting {
		if reason := p.waitReason(i.Reason); reason != "" {
			a.PutStr(attributeWaitReason, reason)
		}
	}
	if i.Joined > 0 {
		a.PutInt(attributeStateCount, int64(i.Joined)+1)
		putSeconds(a, attributeStateDuration, uint64(i.Duration()))
	}
	putCount(a, attributeThread, int64(i.TID))
	putCount(a, attributeWaker, int64(i.Waker.GoID))
	p.putFunction(a, attributeWakerFunction, i.Waker)
	putLine(a, attributeFile, attributeLine, at.leaf.File, at.leaf.Line)
	if at.leaf.Function != "" {
		a.PutStr(attributeFunction, at.leaf.Function)
	}
	if at.text != "" {
		a.PutStr(attributeStack, at.text)
	}
	return at.name
}
