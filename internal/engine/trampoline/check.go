//go:build linux

package trampoline

import (
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/inject"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// Check tells whether a process permits trampolines that runs an executable bias higher than linked, without touching it and without leave
// for what is experimental. The error wraps
// *engine.Refusal if not, and unix.ESRCH if it has ended.
func Check(pid int, b *goexe.Binary, bias uint64) error {
	if err := ring.Usable(false); err != nil {
		return err
	}
	patches, err := b.Patches()
	if err != nil {
		return engine.Refuse(engine.RefusedCode, "%w", err)
	}
	geometry, err := geometryHere()
	if err != nil {
		return err
	}
	a := &Attachment{binary: b, patches: patches}
	return inject.Check(pid, a.program(bias, geometry))
}
