//go:build linux

package enginefake

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginetest"
)

// TestConformance has the fake return what an engine must that sees something.
func TestConformance(t *testing.T) {
	enginetest.RunCalls(t, func(testing.TB, engine.Options) engine.Engine { return New(0) })
}
