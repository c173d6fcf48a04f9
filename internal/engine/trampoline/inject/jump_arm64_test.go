//go:build linux

package inject

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestJumpsTo knows jumps of this collector.
func TestJumpsTo(t *testing.T) {
	for name, c := range map[string]struct {
		code []byte
		to   uint64
	}{
		"forward":      {[]byte{0x04, 0, 0, 0x14}, 0x1010},
		"back":         {[]byte{0xff, 0xff, 0xff, 0x17}, 0xffc},
		"a call":       {[]byte{0x04, 0, 0, 0x94}, 0},
		"a breakpoint": {[]byte{0, 0, 0x20, 0xd4}, 0},
		"too short":    {[]byte{0x04, 0, 0}, 0},
		"too long":     {[]byte{0x04, 0, 0, 0x14, 0}, 0},
	} {
		to, ok := jumpsTo(0x1000, c.code)
		require.Equal(t, c.to != 0, ok, name)
		require.Equal(t, c.to, to, name)
	}
	to, ok := jumpsTo(0x401008, jumpFrom(0x401008, 0x8000000))
	require.True(t, ok)
	require.EqualValues(t, 0x8000000, to)
}

// TestHidden tells what of an instruction a breakpoint hides.
func TestHidden(t *testing.T) {
	require.Equal(t, 4, hidden([]byte{0xa0, 0, 0x20, 0xd4}))
	require.Zero(t, hidden([]byte{0xa0, 0, 0x20, 0x14}))
	require.Zero(t, hidden(nil))
}
