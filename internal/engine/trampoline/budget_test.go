//go:build linux

package trampoline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBudget(t *testing.T) {
	b := budget{limit: 0.2}
	var now, spent time.Duration
	second := func(share float64) bool {
		now += time.Second
		spent += time.Duration(share * float64(time.Second))
		return b.observe(now, spent)
	}
	assert.False(t, second(1), "nothing is known of the time before")
	assert.False(t, second(0.19))
	assert.True(t, second(0.25))
	assert.True(t, b.over)
	for range 10 {
		assert.False(t, second(0.15), "with events it would be more")
	}
	for range comfortable - 1 {
		assert.False(t, second(0.05))
	}
	assert.True(t, second(0.05))
	assert.False(t, b.over)
	assert.False(t, b.observe(now+time.Millisecond, spent+time.Second), "too soon")
}

func TestNoBudget(t *testing.T) {
	var b budget
	for i := range 10 {
		assert.False(t, b.observe(time.Duration(i)*time.Second, time.Duration(i)*time.Second))
	}
}
