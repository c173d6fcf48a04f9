//go:build linux

package telemetry

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
)

// recordCPU tells what the process's threads got of the machine's CPUs, and what kept them from more.
func (m *Metrics) recordCPU(u *cpuusage.Usage, now pcommon.Timestamp) {
	if u == nil {
		return
	}
	m.builder.RecordProcessCPUTimeDataPoint(now, u.User.Seconds(), metadata.AttributeCPUModeUser)
	m.builder.RecordProcessCPUTimeDataPoint(now, u.System.Seconds(), metadata.AttributeCPUModeSystem)
	if u.RunQueueKnown {
		m.builder.RecordProcessCPURunqueueTimeDataPoint(now, u.RunQueue.Seconds())
	}
	if t := u.Throttling; t != nil {
		m.builder.RecordProcessCgroupCPUPeriodsDataPoint(now, int64(t.Periods))
		m.builder.RecordProcessCgroupCPUThrottledPeriodsDataPoint(now, int64(t.Throttled))
		m.builder.RecordProcessCgroupCPUThrottledTimeDataPoint(now, t.Time.Seconds())
	}
}
