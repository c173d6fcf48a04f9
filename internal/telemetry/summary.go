//go:build linux

package telemetry

import (
	"cmp"
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// summarize says of a goroutine's span what a search looks for: what it was most of the time, and how long it waited for which reason.
func (s *Spans) summarize(a pcommon.Map, p *Process, g *lifecycle.Goroutine) {
	clear(s.spent)
	var shown [lifecycle.States]uint64
	var waited [math.MaxUint8 + 1]uint64 // by reason
	for _, i := range g.Intervals {
		ns := uint64(i.Duration())
		switch i.State {
		case lifecycle.Waiting:
			waited[i.Reason] += ns
			fallthrough
		case lifecycle.Syscall:
			s.spent[p.siteOf(i).name] += ns
			shown[i.State] += ns
		}
	}
	// Of states that are not shown the place is not known.
	for state := lifecycle.Runnable; state < lifecycle.States; state++ {
		if total := g.Totals[state].Nanoseconds; total > shown[state] {
			s.spent[stateName(state, "", "")] += total - shown[state]
		}
	}
	s.putDominant(a, uint64(max(g.Lifetime, g.End-g.Start, 1)))
	for _, w := range g.Unshown {
		waited[w.Reason] += w.Nanoseconds
	}
	for reason, ns := range waited {
		if text := p.waitReason(uint8(reason)); ns > 0 && text != "" {
			putSeconds(a, attributeWaitDuration+snake(text), ns)
		}
	}
}

// putDominant tells of the state and place at which a goroutine spent the most of its life.
func (s *Spans) putDominant(a pcommon.Map, life uint64) {
	dominant, most := "", uint64(0)
	for name, ns := range s.spent {
		if c := cmp.Compare(ns, most); c > 0 || c == 0 && name < dominant {
			dominant, most = name, ns
		}
	}
	if most > 0 {
		a.PutStr(attributeDominant, dominant)
		a.PutDouble(attributeDominantShare, math.Round(100*min(float64(most)/float64(life), 1))/100)
	}
}

// snake writes a reason to wait as a part of an attribute's name: sync.Mutex.Lock as sync_mutex_lock.
func snake(reason string) string {
	words := strings.FieldsFunc(strings.ToLower(reason), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "_")
}
