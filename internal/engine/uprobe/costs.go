//go:build linux

package uprobe

import (
	"sync"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

const (
	// usualColdness is by how much a trap costs more in a program that does something else between two of them than in a loop of nothing
	// else, coldness how much it does at the most: see docs/performance.md.
	usualColdness, coldness = 1.25, 2.0
)

// assumedTraps is what traps are believed to cost until they are measured, and if they cannot be.
var assumedTraps = Traps{goexe.Nop5: time.Microsecond, goexe.Emulated: time.Microsecond, goexe.EmulatedPush: time.Microsecond, goexe.SingleStepped: 5 * time.Microsecond}

// costs is what hits of probes cost their programs.
type costs struct {
	changed chan struct{} // has room for one: what the programs do may cost more or less from now on

	mu    sync.Mutex
	traps Traps         // nil until they are measured
	run   time.Duration // of the probes' own program, on average; 0 until it is measured
}

// HitCost returns what a hit of a probe costs a process that runs the executable.
func (a *Attachment) HitCost() engine.Cost {
	c := &a.engine.costs
	return engine.Cost{Usual: c.ofHit(a.binary, usualColdness), Most: c.ofHit(a.binary, coldness)}
}

// ofHit returns what a hit costs in a program that makes traps as much dearer as coldness tells. The budget does not wait until it is
// measured: a program would be slow for as long.
func (c *costs) ofHit(b *goexe.Binary, coldness float64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	traps, run := c.traps, c.run
	if traps == nil {
		traps = assumedTraps
	}
	if run == 0 {
		run = traps[goexe.Emulated]
	}
	return time.Duration(coldness*float64(traps[kindOfProbes(b)])) + run
}

// kindOfProbes is the costliest kind of the probes that are hit often, or of all if there are none of those.
func kindOfProbes(b *goexe.Binary) (kind goexe.Cost) {
	var often, any goexe.Cost
	found := false
	for _, s := range b.Sites {
		any = max(any, s.Cost)
		if s.Kind == goexe.Call || s.Syscall {
			often, found = max(often, s.Cost), true
		}
	}
	if found {
		return often
	}
	return any
}
