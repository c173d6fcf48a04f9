//go:build linux

package trampoline

import "github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"

// thread is what is known of an m of the runtime, which is a thread.
type thread struct {
	m       uint64
	id      int    // the kernel's
	g       uint64 // that it runs, 0 if none or not known
	checked int64  // when id was read, in ns of CLOCK_MONOTONIC
}

const (
	// maxThreads bounds how many are known: Go programs have at most 10 000 unless they allow themselves more (runtime.sched.maxmcount).
	maxThreads = 1 << 14
	// recheck is for how long a thread's id is believed: the runtime may give an m's memory to another; reread for how long it is not read again that
	// it could not be read. Both are in ns.
	recheck, reread = 1e9, 1e7
)

// golden is 2^64 by the golden ratio, whose multiples are spread evenly (Knuth, The Art of Computer Programming, 6.4).
const golden = 0x9e3779b97f4a7c15

// threads are those of a process.
type threads struct {
	memory memory
	known  map[uint64]*thread
	recent [16]*thread // by m
	now    int64       // of the last change
}

func (t *threads) of(m uint64) *thread {
	recent := &t.recent[m*golden>>60]
	if *recent != nil && (*recent).m == m {
		return *recent
	}
	found := t.known[m]
	if found == nil {
		if t.known == nil || len(t.known) >= maxThreads {
			t.known = map[uint64]*thread{}
		}
		found = &thread{m: m}
		t.known[m] = found
	}
	*recent = found
	return found
}

// ran takes what a change tells of the thread that has made it.
func (t *threads) ran(c *change) {
	t.now = c.now
	on := t.of(c.M)
	switch {
	case c.to == lifecycle.Running:
		on.g = c.G
	case on.g == c.G && c.to != lifecycle.Syscall:
		on.g = 0
	}
}

// runs returns the g of the goroutine that a thread runs, 0 if it runs none or that is not known.
func (t *threads) runs(m uint64) uint64 { return t.of(m).g }

// id returns the kernel's id of a thread, 0 if it is not known.
func (t *threads) id(m uint64) int {
	on := t.of(m)
	believed := int64(recheck)
	if on.id == 0 {
		believed = reread
	}
	if on.checked == 0 || t.now-on.checked > believed {
		on.checked = t.now
		on.id = t.memory.threadID(m)
	}
	return on.id
}
