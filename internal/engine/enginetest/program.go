//go:build linux

package enginetest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// program is a process of a program of testdata, which lies where it was linked.
type program struct {
	*testbuild.Running
	t      *test
	binary *goexe.Binary
	exe    string
}

// again starts one more process of the program.
func (p *program) again(args ...string) *program {
	return &program{Running: testbuild.Start(p.t, p.exe, args...), t: p.t, binary: p.binary, exe: p.exe}
}

// step lets the program go on until it writes a line.
func (p *program) step(line string) {
	p.t.Helper()
	p.GoOn()
	require.Equal(p.t, line, p.Line())
}

// memory reads the goroutines that the process has, dead ones left out.
func (p *program) memory() []snapshot.Goroutine {
	p.t.Helper()
	all, err := snapshot.Source{PID: p.PID(), Binary: p.binary}.Read(p.t.Context())
	require.NoError(p.t, err)
	return all
}

// reason returns the text of a wait reason.
func (p *program) reason(value uint8) string { return p.binary.WaitReasons[value] }

// touched tells whether the process's code is other than its file's.
func (p *program) touched() bool {
	p.t.Helper()
	file, err := elf.Open(p.exe)
	require.NoError(p.t, err)
	defer file.Close()
	code := file.Progs[slices.IndexFunc(file.Progs, func(s *elf.Prog) bool { return s.Type == elf.PT_LOAD && s.Flags&elf.PF_X != 0 })]
	want, err := io.ReadAll(code.Open())
	require.NoError(p.t, err)
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.PID()))
	require.NoError(p.t, err)
	defer memory.Close()
	got := make([]byte, len(want))
	_, err = memory.ReadAt(got, int64(code.Vaddr))
	require.NoError(p.t, err)
	return !bytes.Equal(want, got)
}

// followed is a program that an engine follows.
type followed struct {
	*program
	engine.Process
	engine     engine.Engine
	attachment engine.Attachment
}

// counts reads the process's counts.
func (f *followed) counts() lifecycle.Counts {
	f.t.Helper()
	n, err := f.Counts()
	require.NoError(f.t, err)
	return n
}

// look returns the goroutines that the process has, as the engine would see them.
func (f *followed) look() (all []engine.Goroutine) {
	f.t.Helper()
	for _, g := range f.memory() {
		seen := engine.Goroutine{
			G: g.G, GoID: g.GoID, State: g.State, Since: lifecycle.Now(), StartPC: g.StartPC, CreationPC: g.CreationPC,
			System: slices.Contains(f.binary.SystemStarts, g.StartPC),
		}
		if g.State == lifecycle.Waiting {
			seen.Reason = g.WaitReason
		}
		all = append(all, f.AsSeen(seen))
	}
	return all
}

// adoptAll makes all goroutines known that the process has, and returns how many the engine did not know yet.
func (f *followed) adoptAll(sampled bool) (adopted int) {
	f.t.Helper()
	for _, g := range f.look() {
		g.Sampled = sampled
		fresh, err := f.Adopt(g)
		require.NoError(f.t, err)
		if fresh {
			adopted++
		}
	}
	return adopted
}

// live counts goroutines by state, but for the runtime's own.
func live(all []engine.Goroutine) (n [lifecycle.States]int64) {
	for _, g := range all {
		if !g.System {
			n[g.State]++
		}
	}
	return n
}

// sum adds up what is counted by state.
func sum(live [lifecycle.States]int64) (n int64) {
	for _, of := range live {
		n += of
	}
	return n
}

// requireLive waits until the engine counts the goroutines that the process's memory has, in each state.
func (f *followed) requireLive() {
	f.t.Helper()
	var counted, found [lifecycle.States]int64
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if counted, found = f.counts().Live, live(f.look()); counted == found {
			return
		}
	}
	require.Equal(f.t, found, counted, "goroutines by state, in memory and as counted")
}

// quiet is for how long nothing changes in a program that is at rest.
const quiet = 30 * time.Millisecond

// rest waits until so many goroutines wait, none is about to do anything else, in the process's memory and as the engine counts, and nothing
// has changed for a while.
func (f *followed) rest(waiting int64) {
	f.t.Helper()
	var changes uint64
	var since time.Time
	f.t.eventually("the program is at rest", func() bool {
		n := f.counts()
		if n.Transitions != changes || since.IsZero() {
			changes, since = n.Transitions, time.Now()
		}
		return time.Since(since) > quiet && n.Live[lifecycle.Waiting] >= waiting &&
			n.Live[lifecycle.Running]+n.Live[lifecycle.Runnable] == 0 && n.Live == live(f.look())
	})
}

// requireNothingMissed looks at the counts of what an engine could not take.
func (f *followed) requireNothingMissed() {
	f.t.Helper()
	n := f.counts()
	require.Zero(f.t, n.Resynchronized, "changes that were missed")
	require.Zero(f.t, n.EventsLost, "events that were lost")
	require.Zero(f.t, n.Untracked, "goroutines without room")
	require.Zero(f.t, n.BucketsLost, "durations without room")
}

// eventsOf reads the events of a process until done tells that these are enough.
func (t *test) eventsOf(e engine.Engine, pid int, done func([]lifecycle.Event) bool) (all []lifecycle.Event) {
	t.Helper()
	end := time.Now().Add(patience)
	for !done(all) {
		if time.Now().After(end) {
			t.Fatalf("the events that should come did not; %d did", len(all))
		}
		all = append(all, t.pending(e, pid)...)
	}
	return all
}

// pending reads the events of a process that have come, and come in a short while.
func (t *test) pending(e engine.Engine, pid int) (all []lifecycle.Event) {
	t.Helper()
	for until := time.Now().Add(20 * time.Millisecond); ; {
		var event lifecycle.Event
		is, err := e.Next(&event, until)
		require.NoError(t, err)
		if !is {
			return all
		}
		if event.PID == pid {
			event.Stack, event.CreatorStack = slices.Clone(event.Stack), slices.Clone(event.CreatorStack)
			all = append(all, event)
		}
	}
}

// count returns how many events there are of a kind.
func count(all []lifecycle.Event, kind lifecycle.Kind) (n int) {
	for i := range all {
		if all[i].Kind == kind {
			n++
		}
	}
	return n
}

// exits returns a function for eventsOf that waits for so many.
func exits(n int) func([]lifecycle.Event) bool {
	return func(all []lifecycle.Event) bool { return count(all, lifecycle.Exited) >= n }
}
