//go:build linux

package trampoline

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestMemoryOfASurvivor reads of a process whose first thread has exited.
func TestMemoryOfASurvivor(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "survivor", testbuild.Options{})
	b, err := goexe.Open(exe)
	require.NoError(t, err)
	defer b.Close()
	p := testbuild.Start(t, exe)
	require.Equal(t, "ready", p.Line())
	p.GoOn()
	require.Equal(t, "survived", p.Line())
	magic := make([]byte, 4)
	require.True(t, newLiveMemory(p.PID(), b.Layout, nil).read(magic, b.Base))
	assert.Equal(t, "\x7fELF", string(magic))
}
