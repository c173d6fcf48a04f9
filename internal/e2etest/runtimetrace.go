//go:build linux

package e2etest

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

// Traced is what the runtime's own trace tells of a goroutine that it saw from creation to exit.
type Traced struct {
	ID, Parent uint64
	Start      string // the function
	Created    trace.Time
	Times      map[string]time.Duration // in each of States
	// Wakers are the ids of the goroutines that made it runnable, one for each wait that a goroutine ended.
	Wakers []uint64
	// Network tells that it has waited for the network: then whoever started the world again after a collection of garbage may be one of Wakers.
	Network bool

	state  trace.GoState
	since  trace.Time
	reason string // of the last wait
	ended  bool
}

// States are those in which a goroutine's time is spent.
var States = []string{"runnable", "running", "syscall", "waiting"}

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

// RuntimeTrace returns all goroutines that a trace saw created and ended, by id.
func RuntimeTrace(t testing.TB, path string) map[uint64]*Traced {
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
	all := map[uint64]*Traced{}
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
			g := &Traced{ID: id, Created: e.Time(), Times: map[string]time.Duration{}, state: to, since: e.Time()}
			if creator := e.Goroutine(); creator != trace.NoGoroutine {
				g.Parent = uint64(creator)
			}
			for frame := range st.Stack.Frames() {
				g.Start = started(t, frame)
				break
			}
			all[id] = g
			continue
		}
		g := all[id]
		if g == nil {
			continue
		}
		if to == trace.GoWaiting && from != trace.GoWaiting && from != trace.GoUndetermined { // it is said again, without reason, each second
			g.reason = st.Reason
			g.Network = g.Network || st.Reason == "network"
		}
		// A coroutine that switches to another wakes it too, in the trace, by making it runnable for an instant; it waits for no reason.
		if waker := e.Goroutine(); from == trace.GoWaiting && to == trace.GoRunnable && waker != trace.NoGoroutine && g.reason != "" {
			g.Wakers = append(g.Wakers, uint64(waker))
		}
		g.Times[stateNames[g.state]] += e.Time().Sub(g.since)
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
