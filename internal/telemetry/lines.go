//go:build linux

package telemetry

import (
	"cmp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// waits tell apart, for each reason, the lines at which goroutines of a process have waited longest.
type waits map[uint8]*shares[pclntab.Frame]

func compareFrames(a, b pclntab.Frame) int {
	return cmp.Or(strings.Compare(a.Function, b.Function), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

// of returns the lines of one reason.
func (w waits) of(reason uint8) *shares[pclntab.Frame] {
	if w[reason] == nil {
		w[reason] = &shares[pclntab.Frame]{compare: compareFrames}
	}
	return w[reason]
}

// waitedFor returns for how long goroutines waited in all, by reason.
func waitedFor(histograms map[lifecycle.HistogramKey]*lifecycle.Histogram) map[uint8]uint64 {
	sums := map[uint8]uint64{}
	for key, h := range histograms {
		if key.Kind == lifecycle.Wait {
			sums[key.Reason] = h.Sum
		}
	}
	return sums
}

// waitedAt returns for how long goroutines waited in all, by reason, as far as it is known at which lines.
func waitedAt(lines map[lifecycle.Line]uint64) map[uint8]uint64 {
	sums := map[uint8]uint64{}
	for line, ns := range lines {
		sums[line.Reason] += ns
	}
	return sums
}

// recordWaits tells for how long goroutines have waited at which lines: all of them, if the engine knows, and those that were sampled, if others
// were seen by one that does not.
func (m *Metrics) recordWaits(f ProcessStats, now pcommon.Timestamp) {
	if f.Lines != nil {
		m.recordLines(f.Process, f.Process.waits, f.Lines, waitedFor(f.Histograms), false, now)
	}
	if f.SampledLines != nil {
		m.recordLines(f.Process, f.Process.sampledWaits, f.SampledLines, waitedAt(f.SampledLines), true, now)
	}
}

func (m *Metrics) recordLines(p *Process, told waits, lines map[lifecycle.Line]uint64, sums map[uint8]uint64, sampled bool, now pcommon.Timestamp) {
	byReason := p.byLine(lines)
	record := func(ns uint64, reason uint8, at pclntab.Frame) {
		if ns > 0 {
			m.builder.RecordGoGoroutineWaitTimeDataPoint(now, time.Duration(ns).Seconds(), p.waitReason(reason), at.Function, at.File, int64(at.Line), sampled)
		}
	}
	for reason, sum := range sums {
		placed, rest := told.of(reason).divide(byReason[reason], sum, m.topLines)
		for at, ns := range placed {
			record(ns, reason, at)
		}
		record(rest, reason, pclntab.Frame{Function: other})
	}
}

// byLine names the lines of waits, those that are known.
func (p *Process) byLine(lines map[lifecycle.Line]uint64) map[uint8]map[pclntab.Frame]uint64 {
	named := map[uint8]map[pclntab.Frame]uint64{}
	for line, ns := range lines {
		at := p.leafAt(line.PC)
		if at.Function == "" {
			continue
		}
		if named[line.Reason] == nil {
			named[line.Reason] = map[pclntab.Frame]uint64{}
		}
		named[line.Reason][at] += ns
	}
	return named
}
