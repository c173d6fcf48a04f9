package uprobe

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

const (
	// measureEvery is how often it is measured how long the programs run, measureFor for how long, and fewestHits how many of them tell;
	// measureSoon is when to try again if there were not as many.
	measureEvery = 5 * time.Second
	measureFor   = 100 * time.Millisecond
	measureSoon  = 500 * time.Millisecond
	fewestHits   = 100
	// usualColdness is by how much a trap costs more in a program that does something else between two of them than in a loop of nothing
	// else, coldness how much it does at the most: see docs/performance.md.
	usualColdness, coldness = 1.25, 2.0
)

// assumedTraps is what traps are believed to cost until they are measured, and if they cannot be.
var assumedTraps = Traps{goexe.Nop5: time.Microsecond, goexe.Emulated: time.Microsecond, goexe.EmulatedPush: time.Microsecond, goexe.SingleStepped: 5 * time.Microsecond}

// costs is what hits of probes cost their programs.
type costs struct {
	changed chan struct{} // has room for one

	mu    sync.Mutex
	traps Traps         // nil until they are measured
	run   time.Duration // of the probes' own program, on average; 0 until it is measured
}

// HitCost returns what a hit of a probe costs a process that runs the executable.
func (t *Engine) HitCost(b *goexe.Binary) engine.Cost {
	return engine.Cost{Usual: t.costs.ofHit(b, usualColdness), Most: t.costs.ofHit(b, coldness)}
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

// measureCosts keeps the costs up to date until the engine is closed.
func (t *Engine) measureCosts() {
	traps, err := MeasureTraps()
	if err != nil {
		t.options.Logger.Warn("What probes cost is assumed, not measured", zap.Error(err))
		traps = assumedTraps
	}
	t.costs.mu.Lock()
	t.costs.traps = traps
	t.costs.mu.Unlock()
	t.options.Logger.Info("What the kernel takes for a hit of a probe that does nothing", zap.Duration("nop", traps[goexe.Nop5]),
		zap.Duration("emulated", traps[goexe.Emulated]), zap.Duration("emulated_push", traps[goexe.EmulatedPush]),
		zap.Duration("single_stepped", traps[goexe.SingleStepped]))
	for t.measureRun() {
	}
}

// measureRun measures how long the programs run, and waits until it is to be measured again. It reports false if that is not.
func (t *Engine) measureRun() bool {
	sum, hits, err := t.runTimeOf(measureFor)
	if err != nil {
		t.options.Logger.Warn("What probes cost is assumed, not measured", zap.Error(err))
		return false
	}
	again := measureSoon
	if hits >= fewestHits {
		again = measureEvery
		t.costs.mu.Lock()
		t.costs.run = sum / time.Duration(hits)
		t.costs.mu.Unlock()
	}
	select {
	case <-t.closed:
		return false
	case <-t.costs.changed:
	case <-time.After(again):
	}
	return true
}

// haveChanged has it measured again at once what hits cost.
func (c *costs) haveChanged() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}
