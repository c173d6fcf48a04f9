package code

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// What goexe finds in a real program: this one.
func TestRegistersSurviveInThisProgram(t *testing.T) {
	path, err := os.Executable()
	require.NoError(t, err)
	b, err := goexe.Open(path)
	require.NoError(t, err)
	e := example{name: "own", Options: Options{Data: 0x7f0000000000, Geometry: ring.Geometry{CPUs: 8, Bits: 16}, Layout: b.Layout, RDPID: true}}
	e.patches, err = b.Patches()
	require.NoError(t, err)
	channels, err := b.ChannelPatches()
	require.NoError(t, err)
	e.patches = append(e.patches, channels...)
	e.text, e.jumps, err = Assemble(e.Options, exampleAt, 0, e.patches)
	require.NoError(t, err)
	require.Greater(t, len(e.jumps), 1)
	e.registersSurvive(t)
}
