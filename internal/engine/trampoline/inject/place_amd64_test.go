//go:build linux

package inject

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWithin wants trampolines below the executable, and near it.
func TestWithin(t *testing.T) {
	const lowest = 0x10000
	for _, c := range []struct{ begin, from, to uint64 }{
		{0x400000, lowest, 0x400000 - underImage},
		{0x555500000000, 0x555500000000 - reach, 0x555500000000 - underImage},
		{lowest, lowest, 0},
	} {
		from, to := within(c.begin, lowest, nil)
		require.Equal(t, c.from, from)
		require.Equal(t, c.to, to)
	}
}
