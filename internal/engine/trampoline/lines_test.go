//go:build linux

package trampoline

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// calls has the runtime's below 0x1000 and the program's above.
type calls struct{}

func (calls) StartFunction(uint64) pclntab.Frame { return pclntab.Frame{} }

func (calls) Frames(pc uint64) []pclntab.Frame {
	if pc < 0x1000 {
		return []pclntab.Frame{{Function: "runtime.gopark"}}
	}
	return []pclntab.Frame{{Function: "main.f"}}
}

// Of all waits that have ended it is known where they were, whether or not the goroutine is sampled: together they last as long as the
// distributions say.
func TestLines(t *testing.T) {
	m := newTested(t, engine.Settings{SamplingRatio: 0, Stacks: true})
	m.figures.lines = newLines(goexe.NewLeaves(calls{}, 0))
	begins := func(stack ...uint64) {
		r := changed(0x100, 5, running, waiting)
		r.Stack = stack
		m.takeAll(r)
	}
	ends := func() {
		require.Empty(t, m.takeAll(changed(0x100, 5, waiting, runnable), changed(0x100, 5, runnable, running)))
	}
	m.takeAll(created(0x100, 5, 0, mainStart), changed(0x100, 5, runnable, running))
	begins(0x10, 0x20, 0x1001, 0x1002)
	ends()
	begins(0x30, 0x2001)
	m.now += 500
	ends()
	begins(0x10, 0x1001)
	ends()
	begins() // nobody knows where
	ends()
	begins(0x10, 0x2001) // and waits on
	d := m.figures.distributions()
	at := func(pc uint64) lifecycle.Line { return lifecycle.Line{Reason: chanReceive, PC: pc} }
	assert.Equal(t, map[lifecycle.Line]uint64{at(0x1001): 2000, at(0x2001): 1500}, d.Lines)
	assert.EqualValues(t, 4500, d.Histograms[lifecycle.HistogramKey{Kind: lifecycle.Wait, Reason: chanReceive}].Sum)
}

// Without being asked, nothing is told of lines.
func TestNoLines(t *testing.T) {
	m := newTested(t, all)
	r := changed(0x100, 5, running, waiting)
	r.Stack = []uint64{0x1001}
	m.takeAll(created(0x100, 5, 0, mainStart), changed(0x100, 5, runnable, running), r, changed(0x100, 5, waiting, runnable))
	assert.Nil(t, m.figures.distributions().Lines)
}
