//go:build linux

package telemetry

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// A pipeline that refuses a collection gets its exemplars again, unless there are newer ones of their magnitude.
func TestExemplarsAreOfferedUntilTheyAreTaken(t *testing.T) {
	run := lifecycle.HistogramKey{Kind: lifecycle.Run}
	var x exemplars
	durations := func(offered map[lifecycle.HistogramKey]*reservoir) (all []int64) {
		if offered[run] == nil {
			return nil
		}
		for _, e := range offered[run] {
			if e.ns != 0 {
				all = append(all, e.ns)
			}
		}
		return all
	}
	x.add(run, lifecycle.Ref{}, 5, 100)
	x.add(run, lifecycle.Ref{}, 5000, 100)
	require.Equal(t, []int64{5, 5000}, durations(x.offer()))
	x.add(run, lifecycle.Ref{}, 6, 200)
	require.Equal(t, []int64{6, 5000}, durations(x.offer()))
	require.Equal(t, []int64{6, 5000}, durations(x.offer()))
	x.taken()
	require.Empty(t, durations(x.offer()))
}
