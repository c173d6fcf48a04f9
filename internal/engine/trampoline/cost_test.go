//go:build linux && amd64

package trampoline

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

func TestCosts(t *testing.T) {
	c := measureCosts()
	for _, cost := range c {
		assert.Positive(t, cost.Usual)
		assert.Greater(t, cost.Most, cost.Usual)
	}
	assert.Greater(t, c[engine.FullStack].Usual, c[engine.NoStack].Usual)
	t.Log(c)
}
