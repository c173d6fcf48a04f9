//go:build linux && !amd64

package inject

import (
	"runtime"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// Installed is a process with trampolines: there is none on this architecture.
type Installed struct{}

func refuse() error {
	return engine.Refuse(engine.RefusedArch, "trampolines are not proven on %s", runtime.GOARCH)
}

// Check refuses.
func Check(int, Program) error { return refuse() }

// Install refuses.
func Install(int, Program) (*Installed, error) { return nil, refuse() }

// Memory returns nil.
func (*Installed) Memory() *ring.Memory { return nil }

// Gone returns true.
func (*Installed) Gone() bool { return true }

// Remove does nothing.
func (*Installed) Remove() error { return nil }

// Close does nothing.
func (*Installed) Close() error { return nil }
