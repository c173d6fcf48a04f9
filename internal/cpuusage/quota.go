//go:build linux

package cpuusage

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// Throttling is what the quotas of control groups did to all their processes: those that a process is in, and those above, up to the
// outermost that can be read. Of groups one in the other, each with a quota, it is the sum.
type Throttling struct {
	// Periods is how many periods a quota was for had come to their end, Throttled in how many of these it was used up.
	Periods, Throttled uint64
	// Time is for how long processes were not let run, summed up over CPUs.
	Time time.Duration
}

func (t *Throttling) add(o Throttling) {
	t.Periods += o.Periods
	t.Throttled += o.Throttled
	t.Time += o.Time
}

// since returns what happened after an earlier reading. A group of the same name may have taken the place of another.
func (t Throttling) since(before Throttling) Throttling {
	if t.Periods < before.Periods || t.Throttled < before.Throttled || t.Time < before.Time {
		return t
	}
	return Throttling{Periods: t.Periods - before.Periods, Throttled: t.Throttled - before.Throttled, Time: t.Time - before.Time}
}

// quotas sum up what the quotas of a process's control groups did since the first reading, whatever groups it is moved to.
type quotas struct {
	hierarchies []hierarchy
	known       bool
	groups      map[string]Throttling // by directory, as last read
	sum         Throttling
}

// read reads them in the groups that the process is in now.
func (q *quotas) read(groups []processes.Cgroup) {
	now := map[string]Throttling{}
	for _, group := range groups {
		for _, directory := range directories(q.hierarchies, group) {
			t, err := readThrottling(directory)
			if err != nil {
				continue
			}
			now[directory] = t
			if before, known := q.groups[directory]; known {
				q.sum.add(t.since(before))
			}
		}
	}
	q.groups, q.known = now, q.known || len(now) > 0
}

// readThrottling reads what a group's quota did: cpu.stat has times in µs in version 2, and in ns in version 1 (cgroup-v2.rst and
// sched-bwc.rst in the kernel's documentation). Groups that can have no quota have no such fields.
func readThrottling(directory string) (t Throttling, err error) {
	content, err := os.ReadFile(directory + "/cpu.stat")
	if err != nil {
		return t, err
	}
	for line := range strings.Lines(string(content)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			continue
		}
		switch name {
		case "nr_periods":
			t.Periods = value
		case "nr_throttled":
			t.Throttled = value
		case "throttled_usec":
			t.Time = time.Duration(value) * time.Microsecond
		case "throttled_time":
			t.Time = time.Duration(value)
		}
	}
	return t, nil
}
