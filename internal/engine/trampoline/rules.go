//go:build linux

package trampoline

import (
	"go/version"
	"math"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// rules are what changes of status mean in processes of one executable.
type rules struct {
	// states are the states of statuses; lifecycle.States is that of a status that no goroutine has.
	states [16]lifecycle.State
	// keeps are the wait reasons with which a goroutine keeps its thread.
	keeps           [256]bool
	running         uint8 // the status of a goroutine that runs
	preempted       uint8 // the status of a goroutine that is stopped for a look at its stack
	preemptedReason uint8
	// lateReasons tells that a wait that keeps the thread has its reason stored only after the change of state, staleGoID that a new goroutine
	// has its id only after its creation.
	lateReasons, staleGoID bool
	system                 map[uint64]bool // start functions, as linked
}

// newGoIDs is the release from which on newproc1 gives a goroutine its id before it makes it runnable (runtime/proc.go).
const newGoIDs = "go1.24"

func rulesOf(b *goexe.Binary) *rules {
	r := &rules{
		running: b.Layout.Status["Grunning"], preempted: b.Layout.Status["Gpreempted"], preemptedReason: b.PreemptedReason(),
		lateReasons: b.Layout.Traits().LateReasons, staleGoID: version.Compare(b.Layout.GoVersion, newGoIDs) < 0, system: map[uint64]bool{},
	}
	for i := range r.states {
		r.states[i] = lifecycle.States
	}
	for status, s := range b.Layout.States() {
		if int(status) < len(r.states) {
			r.states[status] = s
		}
	}
	for _, reason := range b.ThreadKeepers() {
		r.keeps[reason] = true
	}
	for _, pc := range b.SystemStarts {
		r.system[pc] = true
	}
	return r
}

// asSeen returns a goroutine as its changes show it: one that waits and keeps its thread runs.
func (r *rules) asSeen(g engine.Goroutine) engine.Goroutine {
	if g.State == lifecycle.Waiting && r.keeps[g.Reason] {
		g.State, g.Reason = lifecycle.Running, 0
	}
	return g
}

// sampling decides which trees of goroutines are sampled.
type sampling struct {
	below    uint64 // a tree is if what is drawn for it is below
	withheld uint64 // but not if it is below this
	rootAge  int64  // ns; a creator that is older does not own what it creates
	stacks   bool
}

func samplingOf(s engine.Settings) sampling {
	return sampling{below: uint64(math.Round(s.SamplingRatio * (1 << 32))), rootAge: s.RootAge.Nanoseconds(), stacks: s.Stacks}
}

// stackFrames is how many frames of a stack are recorded at the most: as many as hardly any stack exceeds.
const stackFrames = 36
