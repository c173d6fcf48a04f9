//go:build linux

package e2etest

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// clockStep is how far the ends of spans may be apart that are of the same moment.
const clockStep = 2 * time.Microsecond

// WakerLinks counts links to who ended a wait, and how many of those lead to a span of which a state is known at that moment.
func WakerLinks(spans []ptrace.Span) (links, good int) {
	states := map[pcommon.SpanID][]ptrace.Span{}
	for _, s := range spans {
		if _, is := State(s); is {
			states[s.ParentSpanID()] = append(states[s.ParentSpanID()], s)
		}
	}
	for _, s := range spans {
		for _, l := range s.Links().All() {
			if kind, _ := l.Attributes().Get("go.goroutine.link"); kind.Str() != "waker" {
				continue
			}
			links++
			at, step := s.StartTimestamp(), pcommon.Timestamp(clockStep) // a piece of work begins when it is woken
			if _, is := State(s); is {
				at = s.EndTimestamp() // and a wait ends
			}
			if slices.ContainsFunc(states[l.SpanID()], func(of ptrace.Span) bool {
				return of.TraceID() == l.TraceID() && of.StartTimestamp() <= at+step && at <= of.EndTimestamp()+step
			}) {
				good++
			}
		}
	}
	return links, good
}
