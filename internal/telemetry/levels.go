//go:build linux

package telemetry

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog"
)

// LevelChange is a change of how much is seen of a process, or of what sees it.
type LevelChange struct {
	// At is when, in ns of CLOCK_MONOTONIC.
	At int64
	// From and To name the levels.
	From, To string
	// Engine names what sees the process from then on.
	Engine string
	// Reason names why.
	Reason string
	// Share is the probes' share of the process's processor time of late, Budget what it may be.
	Share, Budget float64
	// Less tells whether less is seen than before.
	Less bool
}

// AddLevelChange gathers a record of how much is seen of a process.
func (l *Logs) AddLevelChange(p *Process, c LevelChange) {
	severity := plog.SeverityNumberInfo
	if c.Less {
		severity = plog.SeverityNumberWarn
	}
	r := l.addRecord(p, eventLevel, severity, c.At)
	r.Body().SetStr(fmt.Sprintf("%s -> %s by %s: %s; probes took %.1f %% of the CPU time", c.From, c.To, c.Engine, c.Reason, 100*c.Share))
	a := r.Attributes()
	a.PutStr(attributeLevelBefore, c.From)
	a.PutStr(attributeLevel, c.To)
	a.PutStr(attributeEngine, c.Engine)
	a.PutStr(attributeOverheadReason, c.Reason)
	a.PutDouble(attributeOverheadShare, c.Share)
	a.PutDouble(attributeOverheadBudget, c.Budget)
}
