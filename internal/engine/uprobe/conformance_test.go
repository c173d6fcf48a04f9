//go:build linux

package uprobe

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginetest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestConformance(t *testing.T) {
	testbuild.RequireRoot(t)
	enginetest.Run(t, func(t testing.TB, o engine.Options) engine.Engine {
		e, err := New(o)
		require.NoError(t, err)
		return e
	})
}
