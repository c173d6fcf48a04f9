//go:build linux

package trampoline

import (
	"sync"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/code"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

const (
	// usualColdness is by how much a record costs more in a program that does something else between two than in a loop of nothing else, coldness
	// how much it does at the most: see docs/performance.md.
	usualColdness, coldness = 1.5, 3.0
	// assumedShare is which part of the changes are taken to be recorded with a stack, those that block, until as many as enough are known: a
	// goroutine that blocks is woken, and runs again.
	assumedShare, enough = 1.0 / 3, 1000
	// manyRecorded is after how many changes those before count half.
	manyRecorded = 1 << 20
)

// assumedRecord and assumedStack are what a record without and with a stack cost where that cannot be measured.
const assumedRecord, assumedStack = 10 * time.Nanosecond, 60 * time.Nanosecond

// costs are what records cost in a loop of nothing else, without a stack and with one.
type costs struct{ record, stack time.Duration }

// usualFrames is how many frames a stack is taken to have: as many as that of a goroutine of net/http which waits for a request, or has one.
const usualFrames = 18

// measureCosts measures them on the processor that this process has now.
func measureCosts() costs {
	return costs{measured(0, assumedRecord), measured(usualFrames, assumedStack)}
}

// of returns what a change costs if a share of them is recorded with a stack.
func (c *costs) of(share float64) engine.Cost {
	return costOf(c.record + time.Duration(share*float64(c.stack-c.record)))
}

// recorded counts changes of late, while stacks are recorded, and those of them that were recorded with one.
type recorded struct {
	mu              sync.Mutex
	changes, stacks float64
}

func (r *recorded) add(changes, stacks uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes += float64(changes)
	r.stacks += float64(stacks)
	if r.changes > manyRecorded {
		r.changes, r.stacks = r.changes/2, r.stacks/2
	}
}

// share returns which part of the changes are recorded with a stack.
func (r *recorded) share() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes < enough {
		return assumedShare
	}
	return r.stacks / r.changes
}

func measured(frames int, otherwise time.Duration) time.Duration {
	if took, err := code.Measure(frames); err == nil {
		return took
	}
	return otherwise
}

func costOf(hot time.Duration) engine.Cost {
	return engine.Cost{Usual: time.Duration(usualColdness * float64(hot)), Most: time.Duration(coldness * float64(hot))}
}

// stackSlots is how many extra slots a stack takes at the most.
const stackSlots = (stackFrames + ring.AddressesPerSlot - 1) / ring.AddressesPerSlot
