//go:build linux

package telemetry

import "go.opentelemetry.io/collector/pdata/pcommon"

// startTime is when sums began, as it was told first: if it moved with the wall clock, that would look as if they had begun anew.
type startTime struct {
	ns   int64 // of CLOCK_MONOTONIC
	told pcommon.Timestamp
}

func (s *startTime) timestamp(ns int64, r Reading) pcommon.Timestamp {
	if s.told == 0 || s.ns != ns {
		s.ns, s.told = ns, r.Timestamp(ns)
	}
	return s.told
}
