//go:build linux && amd64

package trampoline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

func TestCosts(t *testing.T) {
	c := measureCosts()
	for depth := engine.NoStack; depth <= engine.FullStack; depth++ {
		cost := c.of(depth, assumedShare)
		assert.Positive(t, cost.Usual)
		assert.Greater(t, cost.Most, cost.Usual)
	}
	assert.Greater(t, c.of(engine.FullStack, assumedShare).Usual, c.of(engine.NoStack, assumedShare).Usual)
	t.Log(c)
}

// TestHitCostByStacks has a change cost what those cost that were recorded: most of a server's are of system calls, and have no stack.
func TestHitCostByStacks(t *testing.T) {
	c := costs{record: 10 * time.Nanosecond}
	c.stack[engine.LeafStack] = 100 * time.Nanosecond
	a := &Attachment{engine: &Engine{costs: c}, stacks: engine.LeafStack}
	assert.Equal(t, costOf(40*time.Nanosecond), a.HitCost(), "as long as little is known")
	a.recorded.add(9*enough, 0)
	assert.Equal(t, costOf(10*time.Nanosecond), a.HitCost())
	a.recorded.add(enough, enough)
	assert.Equal(t, costOf(19*time.Nanosecond), a.HitCost())
	for range manyRecorded / enough * 10 {
		a.recorded.add(enough, enough)
	}
	assert.InDelta(t, costOf(100*time.Nanosecond).Most, a.HitCost().Most, float64(3*time.Nanosecond), "what was long ago counts for little")
}
