//go:build linux

package trampoline

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// budgetInterval is how often it is looked at what reading takes.
	budgetInterval = time.Second
	// comfort is the part of the limit below which all may be read again, comfortable for how many looks reading must have taken less.
	comfort, comfortable = 0.5, 5
)

// budget keeps the processor time that reading takes within a limit: over it, only exact figures are made of the records, and no events.
type budget struct {
	limit float64 // share of one CPU; 0 is none

	at, spent time.Duration // when it was looked at last, and what had been taken then
	calm      int           // looks with so little that all could be read again
	over      bool
}

// observe takes how much processor time reading has taken until a time, both since any beginning. It tells whether over has changed.
func (b *budget) observe(now, spent time.Duration) (changed bool) {
	elapsed := now - b.at
	if b.limit == 0 || elapsed < budgetInterval {
		return false
	}
	share := float64(spent-b.spent) / float64(elapsed)
	first := b.at == 0
	b.at, b.spent = now, spent
	if first {
		return false
	}
	b.calm++
	if share > comfort*b.limit {
		b.calm = 0
	}
	before := b.over
	b.over = share > b.limit || b.over && b.calm < comfortable
	return b.over != before
}

// threadTime returns how much processor time the calling thread has taken.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0 // the kernel always has this clock
	}
	return time.Duration(t.Nano())
}
