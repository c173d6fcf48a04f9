//go:build linux

package inject

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestInstall puts trampolines into a program of each release, and takes them away, twice: then its code is what it was.
func TestInstall(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, release := range []string{"go1.20.14", "go1.26.8"} {
		t.Run(release, func(t *testing.T) {
			p := exact(t, testbuild.Options{Version: release})
			program := programFor(t, p.PID())
			before := codeOf(t, p.PID(), program)
			for range 2 {
				require.NoError(t, Check(p.PID(), program))
				in, err := Install(p.PID(), program)
				require.NoError(t, err)
				require.False(t, in.adopted)
				require.Zero(t, descriptors(t, p.PID()))
				from := counted(t, in)
				well(t, p)
				require.Greater(t, counted(t, in), from)
				require.False(t, in.Gone())
				require.NoError(t, in.Remove())
				require.Equal(t, before, codeOf(t, p.PID(), program))
				from = counted(t, in)
				well(t, p)
				require.Equal(t, from, counted(t, in))
				require.NoError(t, in.Close())
			}
			require.Equal(t, 1, strings.Count(mapped(t, p.PID()), MemoryName))
		})
	}
}
