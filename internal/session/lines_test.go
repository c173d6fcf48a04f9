//go:build linux

package session

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// ownCode is the program's at all addresses.
type ownCode struct{}

func (ownCode) StartFunction(uint64) pclntab.Frame { return pclntab.Frame{} }
func (ownCode) Frames(uint64) []pclntab.Frame      { return []pclntab.Frame{{Function: "main.f"}} }

// A wait counts at its end, at the line at which it began. What is not known to its beginning does not count, nor does what is no wait, or the
// runtime's.
func TestLinesOfSampled(t *testing.T) {
	const reason = 7
	tracker, lines := lifecycle.NewTracker(lifecycle.Limits{}, nil, lifecycle.NewHomes()), newLines(goexe.NewLeaves(ownCode{}, 0))
	take := func(e lifecycle.Event) {
		lines.add(tracker.Get(e.G), &e)
		tracker.Handle(&e)
	}
	live := func(g uint64, system bool) {
		take(lifecycle.Event{Kind: lifecycle.Created, G: g, GoID: g, Time: 10, Since: 10, To: lifecycle.Running, System: system, StartPC: 1})
	}
	wait := func(g uint64, from, to int64, lost uint32, stack ...uint64) {
		take(lifecycle.Event{Kind: lifecycle.Transition, G: g, GoID: g, Time: from, From: lifecycle.Running, To: lifecycle.Waiting, ToReason: reason, Stack: stack})
		take(lifecycle.Event{Kind: lifecycle.Transition, G: g, GoID: g, Since: from, Time: to, From: lifecycle.Waiting, FromReason: reason, To: lifecycle.Runnable, Lost: lost})
		take(lifecycle.Event{Kind: lifecycle.Transition, G: g, GoID: g, Since: to, Time: to + 1, From: lifecycle.Runnable, To: lifecycle.Running})
	}
	live(1, false)
	live(2, true)
	wait(1, 100, 130, 0, 0x50, 0x60)
	wait(1, 200, 205, 0, 0x50)
	wait(1, 300, 400, 1, 0x50)
	wait(1, 500, 507, 0)
	wait(2, 100, 190, 0, 0x50)
	wait(3, 100, 190, 0, 0x50) // nobody knows it
	assert.Equal(t, map[lifecycle.Line]uint64{{Reason: reason, PC: 0x50}: 35, {Reason: reason}: 7}, lines.sums())
}
