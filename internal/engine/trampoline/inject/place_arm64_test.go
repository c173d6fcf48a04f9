//go:build linux

package inject

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWithin wants all of the trampolines within reach of each site.
func TestWithin(t *testing.T) {
	const lowest = 0x10000
	for _, c := range []struct{ first, last, from, to uint64 }{
		{0x11000, 0x80000, lowest, 0x11000 + reach},
		{0xaaaa00000000, 0xaaaa04000000, 0xaaaa04000000 - reach, 0xaaaa00000000 + reach},
	} {
		from, to := within(0, lowest, []Site{{Address: c.last}, {Address: c.first}, {Address: c.first + 4}})
		require.Equal(t, c.from, from)
		require.Equal(t, c.to, to)
		for _, site := range []uint64{c.first, c.last} {
			for _, text := range []uint64{from, to - 4} {
				landing, ok := jumpsTo(site, jumpFrom(site, text))
				require.True(t, ok)
				require.Equal(t, text, landing)
			}
		}
	}
}
