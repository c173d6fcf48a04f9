package code

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// A stack of many frames takes longer than none, on any processor.
func TestMeasure(t *testing.T) {
	none, err := Measure(0)
	require.NoError(t, err)
	require.Positive(t, none)
	full, err := Measure(ring.MaxStackSlots * ring.AddressesPerSlot)
	require.NoError(t, err)
	require.Greater(t, full, none)
}

func BenchmarkRecord(b *testing.B) {
	for _, frames := range []int{0, 3, 6, 18, 36} {
		b.Run(fmt.Sprint(frames, " frames"), func(b *testing.B) {
			for b.Loop() {
				d, err := Measure(frames)
				require.NoError(b, err)
				b.ReportMetric(float64(d.Nanoseconds()), "ns/record")
			}
		})
	}
}
