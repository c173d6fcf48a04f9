//go:build linux

package cpuusage

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// runQueues sum up for how long the threads of a process waited for a CPU, since the first reading. The kernel keeps that of each thread, and
// forgets it when the thread ends: of one that has ended, what was read last stays in the sum.
type runQueues struct {
	begun   bool
	known   bool
	threads map[string]schedstat // that live, by id, as last read
	waited  time.Duration
}

// read reads them in the directory of the process's threads.
func (q *runQueues) read(directory string) {
	threads, err := os.ReadDir(directory)
	if err != nil || len(threads) == 0 {
		return
	}
	living := make(map[string]schedstat, len(threads))
	for _, t := range threads {
		before, seen := q.threads[t.Name()]
		now, err := readSchedstat(directory + "/" + t.Name())
		switch {
		case err == nil:
			living[t.Name()] = now
			q.known = q.known || now.slices > 0
			if q.begun {
				q.waited += now.since(before)
			}
		case seen && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH):
			living[t.Name()] = before
		}
	}
	q.threads, q.begun = living, true
}

// schedstat is what the kernel knows of a thread (Documentation/scheduler/sched-stats.rst). A kernel without CONFIG_SCHED_INFO says 0 of all.
type schedstat struct {
	ran, waited uint64 // ns on a CPU, and on a run queue
	slices      uint64 // how often it got a CPU
}

func readSchedstat(directory string) (s schedstat, err error) {
	content, err := os.ReadFile(directory + "/schedstat")
	if err != nil {
		return s, err
	}
	if _, err = fmt.Sscan(string(content), &s.ran, &s.waited, &s.slices); err != nil {
		return s, fmt.Errorf("%s/schedstat: %w", directory, err)
	}
	return s, nil
}

// since returns for how long the thread waited after an earlier reading, or since its beginning, if that was of a thread before it with the
// same id.
func (s schedstat) since(before schedstat) time.Duration {
	if s.ran < before.ran || s.waited < before.waited || s.slices < before.slices {
		before = schedstat{}
	}
	return time.Duration(s.waited - before.waited)
}
