//go:build linux

package telemetry

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// AddChanges gathers a record of each site at which goroutines have begun to be blocked, or are no longer, at a time in ns of
// CLOCK_MONOTONIC.
func (l *Logs) AddChanges(p *Process, c waitstats.Changes, creators Creators, at int64) {
	for _, b := range c.Began {
		r := l.addSite(p, b.Site, eventBlocked, plog.SeverityNumberWarn, at)
		r.Attributes().PutInt(attributeBlockedCount, b.Count)
		body := fmt.Sprintf("%d goroutines are blocked (%s), created by %s", b.Count, p.waitReason(b.Reason), p.creatorAt(b.CreationPC))
		if caller := p.commonCaller(b.CreationPC, creators[b.Site]); caller.Function != "" {
			putCaller(r.Attributes(), caller)
			body += ", called from " + caller.Function
		}
		r.Body().SetStr(body)
	}
	for _, site := range c.Cleared {
		r := l.addSite(p, site, eventCleared, plog.SeverityNumberInfo, at)
		r.Body().SetStr(fmt.Sprintf("no goroutine is blocked (%s) any more, created by %s", p.waitReason(site.Reason), p.creatorAt(site.CreationPC)))
	}
}

func (l *Logs) addSite(p *Process, site waitstats.Site, event string, severity plog.SeverityNumber, at int64) plog.LogRecord {
	r := l.addRecord(p, event, severity, at)
	a := r.Attributes()
	a.PutStr(attributeWaitReason, p.waitReason(site.Reason))
	if call := p.callAt(site.CreationPC); call.Function != "" {
		a.PutStr(attributeCreator, call.Function)
		a.PutStr(attributeCreatorFile, call.File)
		a.PutInt(attributeCreatorLine, int64(call.Line))
	}
	return r
}
