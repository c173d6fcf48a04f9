//go:build linux

package trampoline

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginetest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestConformance(t *testing.T) {
	testbuild.RequireRoot(t)
	enginetest.RunFollowing(t, func(t testing.TB, o engine.Options) engine.Engine {
		e, err := New(Options{Options: o, ARM64: true})
		require.NoError(t, err)
		return e
	})
}
