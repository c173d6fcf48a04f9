//go:build linux && amd64

package trampoline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestCosts(t *testing.T) {
	c := measureCosts()
	for _, share := range []float64{0, assumedShare} {
		cost := c.of(share)
		assert.Positive(t, cost.Usual)
		assert.Greater(t, cost.Most, cost.Usual)
	}
	assert.Greater(t, c.of(assumedShare).Usual, c.of(0).Usual)
	t.Log(c)
}

// TestHitCostByStacks has a change cost what those cost that were recorded: most of a server's are of system calls, and have no stack.
func TestHitCostByStacks(t *testing.T) {
	a := &Attachment{engine: &Engine{costs: costs{record: 10 * time.Nanosecond, stack: 100 * time.Nanosecond}}, stacks: true}
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
