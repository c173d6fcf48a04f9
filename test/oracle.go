//go:build linux

package test

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/exp/trace"
)

// told is what the runtime's own trace tells of a goroutine that it saw from creation to exit.
type told struct {
	goid, parent uint64
	start        string
	created      trace.Time
	state        trace.GoState
	since        trace.Time
	times        map[string]time.Duration
	reasons      map[string]bool
	reason       string // of the last wait
	ended        bool
	// wakers are the ids of the goroutines that made it runnable, one for each wait that a goroutine ended.
	wakers []uint64
}

var stateNames = map[trace.GoState]string{
	trace.GoRunnable: "runnable", trace.GoRunning: "running", trace.GoWaiting: "waiting", trace.GoSyscall: "syscall",
}

var goStatement = regexp.MustCompile(`\bgo (\w+)\(`)

// started returns the function that a goroutine was started for. The trace of Go 1.17 has the function that the compiler made for the go
// statement instead: then the statement tells.
func started(t testing.TB, frame trace.StackFrame) string {
	t.Helper()
	if !strings.Contains(frame.Func, "·dwrap·") {
		return frame.Func
	}
	pkg, _, _ := strings.Cut(frame.Func, ".")
	source, err := os.ReadFile(frame.File)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(string(source), "\n")[frame.Line-1]
	statement := goStatement.FindStringSubmatch(line)
	if statement == nil {
		t.Fatalf("%s:%d has no go statement, but %q", frame.File, frame.Line, line)
	}
	return pkg + "." + statement[1]
}

// readTrace returns all goroutines that a trace saw created and ended, by id.
func readTrace(t testing.TB, path string) map[uint64]*told {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := trace.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]*told{}
	for {
		e, err := r.ReadEvent()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind() != trace.EventStateTransition || e.StateTransition().Resource.Kind != trace.ResourceGoroutine {
			continue
		}
		st := e.StateTransition()
		id := uint64(st.Resource.Goroutine())
		from, to := st.Goroutine()
		if from == trace.GoNotExist {
			g := &told{goid: id, state: to, since: e.Time(), created: e.Time(), times: map[string]time.Duration{}, reasons: map[string]bool{}}
			if creator := e.Goroutine(); creator != trace.NoGoroutine {
				g.parent = uint64(creator)
			}
			for frame := range st.Stack.Frames() {
				g.start = started(t, frame)
				break
			}
			all[id] = g
			continue
		}
		g := all[id]
		if g == nil {
			continue
		}
		if to == trace.GoWaiting {
			g.reasons[st.Reason] = true
			if from != trace.GoWaiting && from != trace.GoUndetermined { // as it is said again, without reason, each second
				g.reason = st.Reason
			}
		}
		// A coroutine that switches to another wakes it too, in the trace, by making it runnable for an instant; it waits for no reason.
		if waker := e.Goroutine(); from == trace.GoWaiting && to == trace.GoRunnable && waker != trace.NoGoroutine && g.reason != "" {
			g.wakers = append(g.wakers, uint64(waker))
		}
		g.times[stateNames[g.state]] += e.Time().Sub(g.since)
		g.state, g.since = to, e.Time()
		g.ended = to == trace.GoNotExist
	}
	for id, g := range all {
		if !g.ended {
			delete(all, id)
		}
	}
	return all
}
