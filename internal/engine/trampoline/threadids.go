//go:build linux

package trampoline

import (
	"path/filepath"
	"strconv"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// threadIDs turns the ids of a process's threads, as the process knows them, into those of this process's PID namespace.
type threadIDs struct {
	pid    int
	nested bool           // the process has a PID namespace of its own
	known  map[uint64]int // by the process's own id
	looked time.Time      // when known was read
}

// lookInterval is how often all threads are looked at, at the most: it takes a file a thread.
const lookInterval = time.Second

func newThreadIDs(pid int) threadIDs {
	return threadIDs{pid: pid, nested: len(processes.IDs("/proc/"+strconv.Itoa(pid))) > 1}
}

// maxID is more than any id (PID_MAX_LIMIT in include/linux/threads.h).
const maxID = 1 << 22

// own returns the id in this process's namespace, 0 if it is not known.
func (t *threadIDs) own(id uint64) int {
	switch {
	case id == 0, id > maxID:
		return 0
	case !t.nested:
		return int(id)
	}
	if _, known := t.known[id]; !known && time.Since(t.looked) > lookInterval {
		t.look()
	}
	return t.known[id]
}

// look reads the ids of all threads that the process has now.
func (t *threadIDs) look() {
	t.known, t.looked = map[uint64]int{}, time.Now()
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(t.pid) + "/task/*")
	for _, thread := range threads {
		ids := processes.IDs(thread)
		if len(ids) == 0 {
			continue
		}
		inner, innerErr := strconv.ParseUint(ids[len(ids)-1], 10, 32)
		outer, outerErr := strconv.Atoi(ids[0])
		if innerErr == nil && outerErr == nil {
			t.known[inner] = outer
		}
	}
}
