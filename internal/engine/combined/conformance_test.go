//go:build linux

package combined

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginetest"
)

// TestConformance has both engines together return what each one must.
func TestConformance(t *testing.T) {
	enginetest.RunCalls(t, func(t testing.TB, _ engine.Options) engine.Engine { return newBoth(t) })
}
