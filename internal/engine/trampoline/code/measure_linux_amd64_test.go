package code

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// A stack of eleven slots takes longer than none, on any processor.
func TestMeasure(t *testing.T) {
	none, err := Measure(0)
	require.NoError(t, err)
	require.Positive(t, none)
	full, err := Measure(ring.MaxStackSlots)
	require.NoError(t, err)
	require.Greater(t, full, none)
}

func BenchmarkRecord(b *testing.B) {
	for _, slots := range []uint32{0, 3, 11} {
		b.Run(fmt.Sprint(slots, " stack slots"), func(b *testing.B) {
			for b.Loop() {
				d, err := Measure(slots)
				require.NoError(b, err)
				b.ReportMetric(float64(d.Nanoseconds()), "ns/record")
			}
		})
	}
}
