//go:build linux

package combined

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginetest"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/uprobe"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestConformanceOfFakes has both engines together return what each one must.
func TestConformanceOfFakes(t *testing.T) {
	enginetest.RunCalls(t, func(t testing.TB, _ engine.Options) engine.Engine { return newBoth(t) })
}

// requireBoth skips where there are not both engines.
func requireBoth(t *testing.T) {
	t.Helper()
	testbuild.RequireRoot(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("there are trampolines for amd64 only")
	}
}

// newReal returns an Engine of both that follow real processes.
func newReal(t testing.TB, o engine.Options) *Engine {
	kernel, err := uprobe.New(o)
	require.NoError(t, err)
	e, err := New(kernel, func(ready func()) (engine.Engine, error) {
		return trampoline.New(trampoline.Options{Options: o, FirstID: FirstUserID, Ready: ready})
	})
	require.NoError(t, err)
	return e
}

// TestConformanceByProbes has both together do by probes what the kernel's engine does alone.
func TestConformanceByProbes(t *testing.T) {
	requireBoth(t)
	enginetest.Run(t, func(t testing.TB, o engine.Options) engine.Engine { return newReal(t, o) })
}

// TestConformanceByTrampolines has both together do by trampolines what the other engine does alone.
func TestConformanceByTrampolines(t *testing.T) {
	requireBoth(t)
	enginetest.RunFollowing(t, func(t testing.TB, o engine.Options) engine.Engine { return byTrampolines{newReal(t, o)} })
}

// byTrampolines attaches by those only.
type byTrampolines struct{ *Engine }

func (e byTrampolines) Attach(b *goexe.Binary, path string, o engine.AttachOptions) (engine.Attachment, error) {
	o.Trampolines = true
	return e.Engine.Attach(b, path, o)
}
