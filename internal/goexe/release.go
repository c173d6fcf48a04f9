package goexe

import (
	"go/version"
	"slices"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// What differs between releases of Go, beside what layouts.json and package pclntab have. docs/new-go-release.md says how to check it for
// the next one.

// registerArguments are the releases from which on functions take their arguments in registers, by GOARCH
// (cmd/compile/internal/ssagen/abi.go; release notes of Go 1.17 and 1.18).
var registerArguments = map[string]string{"amd64": "go1.17", "arm64": "go1.18"}

// Releases from which on the runtime does something otherwise.
const (
	reasonsFirst     = "go1.20" // casGToWaiting in runtime/proc.go
	framesInSyscalls = "go1.23" // save in runtime/proc.go
	labelLists       = "go1.24" // labelMap in runtime/pprof/label.go
)

// Traits are what the runtime of a release does that offsets do not tell.
type Traits struct {
	// LateReasons tells that g.waitreason may not yet be stored when a goroutine that keeps its thread becomes waiting.
	LateReasons bool
	// LiveSyscalls tells that g.sched has no frame pointer of a goroutine in a system call: only its thread's register has.
	LiveSyscalls bool
	// LabelMap tells that profiler labels are a map, and not a sorted list.
	LabelMap bool
}

// Traits returns what the runtime of the layout's release does.
func (l *Layout) Traits() Traits {
	before := func(release string) bool { return version.Compare(l.GoVersion, release) < 0 }
	return Traits{LateReasons: before(reasonsFirst), LiveSyscalls: before(framesInSyscalls), LabelMap: before(labelLists)}
}

// Distances of g.sched.bp from g.sched.pc, in bytes (gobuf in runtime/runtime2.go): Go 1.25 has dropped a field ret between them.
const (
	bpBehindRet = 40
	bpBehindLR  = 32
)

// SchedHasRet tells whether there is a field ret in g.sched, before lr and bp. It is not known of a layout that has neither of the two
// forms.
func (g GLayout) SchedHasRet() (has, known bool) {
	distance := g.SchedBP - g.SchedPC
	return distance == bpBehindRet, distance == bpBehindRet || distance == bpBehindLR
}

// states gathers the runtime's statuses (runtime/runtime2.go) by the names that they have there without the underscore.
var states = map[string]lifecycle.State{
	"Gidle":      lifecycle.Dead,
	"Gdead":      lifecycle.Dead,
	"Gdeadextra": lifecycle.Dead,
	"Grunnable":  lifecycle.Runnable,
	"Grunning":   lifecycle.Running,
	"Gcopystack": lifecycle.Running,
	"Gsyscall":   lifecycle.Syscall,
	"Gwaiting":   lifecycle.Waiting,
	"Gpreempted": lifecycle.Waiting,
	"Gleaked":    lifecycle.Waiting,
}

// unusedStatuses are names of numbers that no goroutine has.
var unusedStatuses = map[string]bool{"Gmoribund_unused": true, "Genqueue_unused": true}

// States returns the states that the statuses of the layout's release belong to, by their values. Statuses that no goroutine has are left
// out.
func (l *Layout) States() map[uint8]lifecycle.State {
	all := map[uint8]lifecycle.State{}
	for name, value := range l.Status {
		if s, ok := states[name]; ok {
			all[value] = s
		}
	}
	return all
}

// unknownStatuses returns the statuses of a layout of which nothing tells what they mean.
func (l *Layout) unknownStatuses() (unknown []string) {
	for name := range l.Status {
		if _, known := states[name]; !known && !unusedStatuses[name] {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// threadKeepers are the wait reasons with which a goroutine makes itself waiting only so that its stack may be scanned, and keeps its
// thread (runtime.waitReason.isWaitingForSuspendG in runtime/runtime2.go).
var threadKeepers = map[string]bool{
	"GC assist marking": true, "GC worker (active)": true, "GC mark termination": true, "garbage collection": true,
	"garbage collection scan": true, "stopping the world": true, "flushing proc caches": true, "trace goroutine status": true,
	"trace proc status": true, "page trace flush": true,
}

// ThreadKeepers returns the values of g.waitreason with which a goroutine that is waiting keeps its thread, and goes on running soon.
func (b *Binary) ThreadKeepers() (values []uint8) {
	for i, reason := range b.reasons() {
		if threadKeepers[reason] {
			values = append(values, uint8(i))
		}
	}
	return values
}

// channelReasons are the wait reasons of goroutines that g.param tells, when they go on, by what they waited for (runtime/chan.go, runtime/select.go).
var channelReasons = []string{reasonReceive, reasonSend, reasonSelect}

// ChannelReasons returns a set of values of g.waitreason, as a bit for each: those of waiting for channels.
func (b *Binary) ChannelReasons() (set uint64) {
	for i, reason := range b.reasons() {
		if slices.Contains(channelReasons, reason) {
			set |= 1 << i // there are no more than 64
		}
	}
	return set
}

// reasons are those of the wait reasons that g.waitreason can hold.
func (b *Binary) reasons() []string { return b.WaitReasons[:min(len(b.WaitReasons), maxWaitReasons)] }

// PreemptedReason returns the value of g.waitreason of a goroutine that a garbage collection has suspended, 0 if there is none. Its text
// ends with a space in some releases.
func (b *Binary) PreemptedReason() uint8 {
	for i, reason := range b.reasons() {
		if strings.TrimSpace(reason) == "preempted" {
			return uint8(i)
		}
	}
	return 0
}

// usersStarts are functions of package runtime in which goroutines begin that the runtime does not count as its own
// (runtime.isSystemGoroutine in runtime/traceback.go).
var usersStarts = map[string]bool{"runtime.main": true, "runtime.corostart": true, "runtime.handleAsyncEvent": true}

// isSystemStart tells whether the runtime counts a goroutine with this start function as its own.
func isSystemStart(name string) bool {
	return strings.HasPrefix(name, "runtime.") && !usersStarts[name]
}

// swapName is how the name of the method ends that swaps a status where the compiler does not inline (-gcflags=-l); the package moved
// in Go 1.23.
const swapName = "/atomic.(*Uint32).CompareAndSwap"

// Functions whose compare-and-swap is no change of state: of the scan bit alone, or from preempted or leaked to waiting, which is the
// state of all three.
var noChange = map[string]bool{
	"runtime.castogscanstatus": true, "runtime.casfrom_Gscanstatus": true,
	"runtime.casGFromPreempted": true, "runtime.allGsSnapshotSortedForGC": true,
}

// Functions that swap the status at the ends of a system call (runtime/proc.go, Go 1.26 and later).
var syscallEnds = map[string]bool{
	"runtime.reentersyscall": true, "runtime.entersyscall": true, "runtime.exitsyscall": true, "runtime.cgocallbackg": true,
}
