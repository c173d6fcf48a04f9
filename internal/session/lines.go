//go:build linux

package session

import (
	"maps"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// lines are how long the sampled goroutines of a process have waited at each line of the program's own.
type lines struct {
	leaves *goexe.Leaves
	waits  map[lifecycle.Line]uint64 // ns
}

// maxLines bounds how many lines are told apart.
const maxLines = 8 << 10

func newLines(leaves *goexe.Leaves) *lines {
	return &lines{leaves: leaves, waits: map[lifecycle.Line]uint64{}}
}

// add takes an event of a goroutine, which is as it was before it.
func (l *lines) add(g *lifecycle.Goroutine, e *lifecycle.Event) {
	if g == nil || g.System || e.From != lifecycle.Waiting || e.Kind == lifecycle.Labelled || e.Lost > 0 {
		return
	}
	line := lifecycle.Line{Reason: e.FromReason}
	if stack := g.Stack(); stack != nil {
		line.PC = l.leaves.Of(stack.PCs)
	}
	if _, known := l.waits[line]; !known && len(l.waits) >= maxLines {
		line.PC = 0
	}
	l.waits[line] += uint64(max(e.Time-e.Since, 0))
}

// sums returns a copy of how long was waited at each line; an address of 0 is any that is not known.
func (l *lines) sums() map[lifecycle.Line]uint64 {
	if l == nil {
		return nil
	}
	return maps.Clone(l.waits)
}
