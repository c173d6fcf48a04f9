//go:build linux

package telemetry

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Logs gathers changes of state as log records.
type Logs struct {
	scope    Scope
	logs     plog.Logs
	resource map[*Process]plog.LogRecordSlice
	clock    *Clock
	reading  Reading
	// unnamed are the creations of goroutines that have no id yet: the runtime gives it right after.
	unnamed map[*lifecycle.Goroutine]lifecycle.Event
}

// NewLogs returns an empty Logs.
func NewLogs(scope Scope, clock *Clock) *Logs {
	l := &Logs{scope: scope, clock: clock, unnamed: map[*lifecycle.Goroutine]lifecycle.Event{}}
	l.reset()
	return l
}

func (l *Logs) reset() {
	l.logs = plog.NewLogs()
	l.resource = map[*Process]plog.LogRecordSlice{}
}

// Len returns how many records have been gathered.
func (l *Logs) Len() int { return l.logs.LogRecordCount() }

// Take returns what has been gathered since the last call.
func (l *Logs) Take() plog.Logs {
	logs := l.logs
	l.reset()
	return logs
}

func (l *Logs) recordsOf(p *Process) plog.LogRecordSlice {
	if known, ok := l.resource[p]; ok {
		return known
	}
	if len(l.resource) == 0 {
		l.reading = l.clock.Reading()
	}
	rl := l.logs.ResourceLogs().AppendEmpty()
	rl.SetSchemaUrl(semconv.SchemaURL)
	p.resource.CopyTo(rl.Resource())
	sl := rl.ScopeLogs().AppendEmpty()
	l.scope.set(sl.Scope())
	l.resource[p] = sl.LogRecords()
	return sl.LogRecords()
}

// addRecord adds a record of what happened at a time in ns of CLOCK_MONOTONIC.
func (l *Logs) addRecord(p *Process, event string, severity plog.SeverityNumber, at int64) plog.LogRecord {
	r := l.recordsOf(p).AppendEmpty()
	r.SetTimestamp(l.reading.Timestamp(at))
	r.SetObservedTimestamp(l.reading.Timestamp(l.clock.now()))
	r.SetEventName(event)
	r.SetSeverityNumber(severity)
	r.SetSeverityText(strings.ToUpper(severity.String()))
	return r
}

// Add gathers a change of state of goroutine g. A creation is gathered with the goroutine's next change, when its id is known, or by End.
func (l *Logs) Add(p *Process, g *lifecycle.Goroutine, e *lifecycle.Event) {
	if e.Kind == lifecycle.Created && g.GoID == 0 {
		l.unnamed[g] = *e
		return
	}
	l.End(p, g)
	l.add(p, g, e)
}

// End gathers what is left to be told of a goroutine of which no change will come.
func (l *Logs) End(p *Process, g *lifecycle.Goroutine) {
	if created, is := l.unnamed[g]; is {
		delete(l.unnamed, g)
		l.add(p, g, &created)
	}
}

func (l *Logs) add(p *Process, g *lifecycle.Goroutine, e *lifecycle.Event) {
	from := e.From
	if e.Kind == lifecycle.Created {
		from = lifecycle.Dead
	}
	r := l.addRecord(p, eventStateChange, plog.SeverityNumberInfo, e.Time)
	to := p.stateText(e.To, e.ToReason)
	r.Body().SetStr(p.stateText(from, e.FromReason) + " -> " + to)
	a := r.Attributes()
	a.EnsureCapacity(6)
	a.PutStr(attributeStateFrom, from.String())
	a.PutStr(attributeStateTo, e.To.String())
	if e.To == lifecycle.Waiting {
		if reason := p.waitReason(e.ToReason); reason != "" {
			a.PutStr(attributeWaitReason, reason)
		}
	}
	a.PutInt(attributeProcess, int64(e.PID))
	a.PutInt(attributeThread, int64(e.TID))
	if g.GoID != 0 {
		a.PutInt(attributeGoID, int64(g.GoID))
		if of := g.Lasting(e.Since); of.Followed() {
			r.SetTraceID(p.ids.trace(of.Tree))
			r.SetSpanID(p.ids.span(of.GoID, of.Segment, 0))
		}
	}
}
