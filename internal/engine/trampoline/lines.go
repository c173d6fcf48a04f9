//go:build linux

package trampoline

import (
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// lines are how long goroutines have waited at each line of the program's own.
type lines struct {
	leaves  *goexe.Leaves // nil if lines are not told apart
	numbers map[lifecycle.Line]uint16
	waits   []uint64 // ns, by number; the first is of those whose line is not known
}

// maxLines bounds how many lines are told apart. A goroutine's entry has the number of the one at which it waits.
const maxLines = 8 << 10

func newLines(leaves *goexe.Leaves) lines {
	return lines{leaves: leaves, numbers: map[lifecycle.Line]uint16{}, waits: make([]uint64, 1)}
}

// number returns that of the line at which a goroutine with a stack begins to wait, 0 if it is not known.
func (l *lines) number(reason uint8, stack []uint64) uint16 {
	if l.leaves == nil || len(stack) == 0 {
		return 0
	}
	line := lifecycle.Line{Reason: reason, PC: l.leaves.Of(stack)}
	n, known := l.numbers[line]
	if known || line.PC == 0 || len(l.waits) > maxLines {
		return n
	}
	n = uint16(len(l.waits))
	l.numbers[line], l.waits = n, append(l.waits, 0)
	return n
}

// waited adds a wait at the line with a number.
func (l *lines) waited(number uint16, ns uint64) {
	if number != 0 {
		l.waits[number] += ns
	}
}

// sums returns how long was waited at each line, nil if lines are not told apart.
func (l *lines) sums() map[lifecycle.Line]uint64 {
	if l.leaves == nil {
		return nil
	}
	sums := make(map[lifecycle.Line]uint64, len(l.numbers))
	for line, n := range l.numbers {
		if l.waits[n] > 0 {
			sums[line] = l.waits[n]
		}
	}
	return sums
}
