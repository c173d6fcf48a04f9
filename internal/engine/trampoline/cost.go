//go:build linux

package trampoline

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/code"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

const (
	// usualColdness is by how much a record costs more in a program that does something else between two than in a loop of nothing else, coldness
	// how much it does at the most: see docs/performance.md.
	usualColdness, coldness = 1.5, 3.0
	// changesPerStack is how many changes there are for one that blocks, of which the stack is recorded: it is woken, and runs again.
	changesPerStack = 3
)

// assumedRecord and assumedStack are what a record without and with a stack cost where that cannot be measured.
const assumedRecord, assumedStack = 10 * time.Nanosecond, 60 * time.Nanosecond

// costs are what records cost a process by the stacks that are recorded.
type costs [engine.FullStack + 1]engine.Cost

// measureCosts measures them on the processor that this process has now.
func measureCosts() (c costs) {
	record := measured(0, assumedRecord)
	c[engine.NoStack] = costOf(record)
	for depth := engine.LeafStack; depth <= engine.FullStack; depth++ {
		stack := measured(slotsFor(sampling{stacks: depth}.frames()), assumedStack)
		c[depth] = costOf(((changesPerStack-1)*record + stack) / changesPerStack)
	}
	return c
}

func measured(slots int, otherwise time.Duration) time.Duration {
	if took, err := code.Measure(uint32(slots)); err == nil {
		return took
	}
	return otherwise
}

func costOf(hot time.Duration) engine.Cost {
	return engine.Cost{Usual: time.Duration(usualColdness * float64(hot)), Most: time.Duration(coldness * float64(hot))}
}

// slotsFor returns how many extra slots so many frames take.
func slotsFor(frames int) int { return (frames + ring.AddressesPerSlot - 1) / ring.AddressesPerSlot }
