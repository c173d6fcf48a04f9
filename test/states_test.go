//go:build linux

package test

import (
	"fmt"
	"go/version"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

// stretches maps start functions of the lifecycle program to states, as e2etest.State words them, in which their goroutines must have
// been.
var stretches = map[string][]string{
	"main.lockMutex":         {"waiting: sync.Mutex.Lock", "waiting: sleep"},
	"main.selects":           {"waiting: select"},
	"main.selectLoop":        {"waiting: select", "waiting: sleep"},
	"main.timers":            {"waiting: chan receive", "waiting: sleep"},
	"main.network":           {"waiting: IO wait", "syscall"},
	"main.echo":              {"waiting: IO wait", "syscall"},
	"main.files":             {"syscall"},
	"main.yields":            {"runnable", "running"},
	"main.collections":       {"running"},
	"runtime.gcBgMarkWorker": {"waiting: GC worker (idle)"},
	"main.recovered":         {"running"},
	"main.exits":             {"running"},
	"main.lockedThread":      {"waiting: sleep", "runnable", "running"},
	"main.channels":          {"waiting: chan send"},
	"main.receive":           {"waiting: chan receive"},
	"main.conditions":        {"waiting: sync.Cond.Wait", "waiting: chan receive"},
	"main.conditions.func2":  {"waiting: sync.RWMutex.RLock"},
	"main.syscalls":          {"syscall"},
	"main.compute":           {"running", "runnable"},
	"main.parked":            {"waiting: select (no cases)"},
}

// olderNames are those of wait reasons before Go 1.20 (runtime/runtime2.go).
var olderNames = strings.NewReplacer("sync.Mutex.Lock", "semacquire", "sync.RWMutex.RLock", "semacquire")

// statesOff tells which kinds of goroutines were not in the states for which the program has them, as may happen if the kernel lets a
// thread wait for long. What does not depend on that it checks itself.
func statesOff(t *testing.T, goVersion string, spans []ptrace.Span) map[string]string {
	t.Helper()
	start, goid := map[string]string{}, map[string]int64{} // of span ids
	for _, s := range spans {
		if id, ok := s.Attributes().Get("go.goroutine.id"); ok {
			start[s.SpanID().String()], goid[s.SpanID().String()] = e2etest.StartFunction(s), id.Int()
		}
	}
	got := map[string]map[string]int{}
	threads := map[int64]map[int64]bool{} // of goroutines that stay on one
	for _, s := range spans {
		of := start[s.ParentSpanID().String()]
		state, ok := e2etest.State(s)
		if !ok {
			continue
		}
		if got[of] == nil {
			got[of] = map[string]int{}
		}
		got[of][state]++
		if tid, ok := s.Attributes().Get("thread.id"); ok && of == "main.lockedThread" {
			id := goid[s.ParentSpanID().String()]
			if threads[id] == nil {
				threads[id] = map[int64]bool{}
			}
			threads[id][tid.Int()] = true
		}
	}
	off := map[string]string{}
	for of, want := range stretches {
		for _, state := range want {
			if version.Compare(goVersion, "go1.20") < 0 {
				state = olderNames.Replace(state)
			}
			if got[of][state] == 0 {
				off[of+" "+state] = fmt.Sprintf("it was never that, but %v", got[of])
			}
		}
	}
	// Each runs twice and yields 50 times, each of which makes it runnable and running again.
	if n := got["main.yields"]; n["runnable"] < 100 || n["running"] < 100 {
		t.Errorf("main.yields was %v", n)
	}
	pulls := got["runtime.corostart"]
	if got["main.pulls"] != nil && pulls["waiting: coroutine"] < 100 {
		t.Errorf("iter.Pull's goroutines were %v", pulls)
	}
	if len(threads) != 2 {
		t.Errorf("%d goroutines were locked to their threads, want 2", len(threads))
	}
	return off
}
