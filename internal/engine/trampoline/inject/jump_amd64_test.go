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
		"forward":      {[]byte{0xe9, 0x10, 0, 0, 0}, 0x1015},
		"back":         {[]byte{0xe9, 0xfb, 0xff, 0xff, 0xff}, 0x1000},
		"filled":       {[]byte{0xe9, 0x10, 0, 0, 0, 0xcc, 0xcc}, 0x1015},
		"with more":    {[]byte{0xe9, 0x10, 0, 0, 0, 0xcc, 0x90}, 0},
		"a call":       {[]byte{0xe8, 0x10, 0, 0, 0}, 0},
		"a breakpoint": {[]byte{0xcc, 0x10, 0, 0, 0}, 0},
		"too short":    {[]byte{0xe9, 0x10, 0, 0}, 0},
	} {
		to, ok := jumpsTo(0x1000, c.code)
		require.Equal(t, c.to != 0, ok, name)
		require.Equal(t, c.to, to, name)
	}
}

// TestHidden tells what of an instruction a breakpoint hides.
func TestHidden(t *testing.T) {
	require.Equal(t, 1, hidden([]byte{0xcc, 0x10, 0, 0, 0}))
	require.Zero(t, hidden([]byte{0xe9, 0xcc, 0, 0, 0}))
	require.Zero(t, hidden(nil))
}
