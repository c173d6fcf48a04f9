//go:build linux

package trampoline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Statuses of Go 1.26 (runtime/runtime2.go).
const (
	idle, runnable, running, inSyscall, waiting, dead, copystack, preempted = 0, 1, 2, 3, 4, 6, 8, 9
)

const (
	chanReceive, gcWorker, suspended = 14, 27, 33 // wait reasons of the test's own
	mainStart, systemStart           = 0x1000, 0x2000
)

// noMemory is one of which nothing can be read.
type noMemory struct{}

func (noMemory) origin(uint64, uint64) (origin, bool) { return origin{}, false }
func (noMemory) goid(uint64) uint64                   { return 0 }
func (noMemory) threadID(m uint64) int                { return int(m) }
func (noMemory) look(func(reader)) bool               { return false }

func testRules() *rules {
	r := &rules{running: running, preempted: preempted, preemptedReason: suspended, system: map[uint64]bool{systemStart: true}}
	for i := range r.states {
		r.states[i] = lifecycle.States
	}
	for status, s := range map[int]lifecycle.State{
		idle: lifecycle.Dead, dead: lifecycle.Dead, runnable: lifecycle.Runnable, running: lifecycle.Running, copystack: lifecycle.Running,
		inSyscall: lifecycle.Syscall, waiting: lifecycle.Waiting, preempted: lifecycle.Waiting,
	} {
		r.states[status] = s
	}
	r.keeps[gcWorker] = true
	return r
}

// tested is a machine of which all events are kept.
type tested struct {
	*testing.T
	machine
	now int64
}

func newTested(t *testing.T, s engine.Settings) *tested {
	r := &room{}
	r.left.Store(1 << 20)
	return &tested{T: t, machine: machine{
		rules: testRules(), sampling: samplingOf(s), pid: 7, memory: noMemory{}, threads: threads{memory: noMemory{}},
		goroutines: newTable(1<<20, r), queue: newQueue(1<<20, func() {}),
	}}
}

// take takes changes a microsecond after each other, and returns the events.
func (t *tested) takeAll(records ...ring.Record) (all []lifecycle.Event) {
	t.queue.begin()
	for i := range records {
		t.now += 1000
		t.machine.take(&records[i], t.now)
	}
	t.queue.end()
	var e lifecycle.Event
	for t.queue.poll(&e) {
		all = append(all, e)
	}
	return all
}

func created(g, goid, parent, start uint64) ring.Record {
	return ring.Record{G: g, Old: dead, New: runnable, GoID: goid, M: 1, Created: true, StartPC: start, CreationPC: start + 1, ParentG: parent}
}

func changed(g, goid uint64, from, to uint8) ring.Record {
	return ring.Record{G: g, Old: from, New: to, GoID: goid, M: 1, Reason: chanReceive}
}

var all = engine.Settings{SamplingRatio: 1, RootAge: time.Hour, Stacks: true}

func TestALife(t *testing.T) {
	m := newTested(t, all)
	blocked := changed(0x100, 5, running, waiting)
	blocked.Stack = []uint64{1, 2, 3}
	events := m.takeAll(
		created(0x200, 1, 0, mainStart), changed(0x200, 1, runnable, running),
		created(0x100, 5, 0x200, mainStart), changed(0x100, 5, runnable, running), blocked,
		changed(0x200, 1, runnable, running), // by the same thread again, though nothing told that it was not
		changed(0x100, 5, waiting, runnable), changed(0x100, 5, runnable, running), changed(0x100, 5, running, dead),
	)
	require.Len(t, events, 8)
	var of []lifecycle.Event
	for _, e := range events {
		if e.G == 0x100 {
			of = append(of, e)
		}
	}
	require.Len(t, of, 6)
	assert.Equal(t, lifecycle.Event{
		Kind: lifecycle.Created, Time: 3000, Since: 3000, PID: 7, TID: 1, G: 0x100, GoID: 5, From: lifecycle.Runnable, To: lifecycle.Runnable,
		Parent: 0x200, ParentGoID: 1, StartPC: mainStart, CreationPC: mainStart + 1,
	}, of[0])
	assert.Equal(t, []uint64{1, 2, 3}, of[2].Stack)
	assert.EqualValues(t, chanReceive, of[2].ToReason)
	assert.EqualValues(t, chanReceive, of[3].FromReason)
	assert.Equal(t, lifecycle.Exited, of[5].Kind)
	assert.Equal(t, lifecycle.Total{Count: 2, Nanoseconds: 2000}, of[5].Totals[lifecycle.Runnable])
	assert.Equal(t, lifecycle.Total{Count: 2, Nanoseconds: 2000}, of[5].Totals[lifecycle.Running])
	assert.Equal(t, lifecycle.Total{Count: 1, Nanoseconds: 2000}, of[5].Totals[lifecycle.Waiting])
	n := m.figures.until(m.now)
	assert.EqualValues(t, 2, n.Created)
	assert.EqualValues(t, 1, n.Exited)
	assert.EqualValues(t, 1, n.Repeats)
	assert.EqualValues(t, 8, n.Transitions)
	assert.EqualValues(t, 1, n.Live[lifecycle.Running])
	d := m.figures.distributions()
	assert.EqualValues(t, 6000, d.Histograms[lifecycle.HistogramKey{Kind: lifecycle.Lifetime}].Sum)
	assert.EqualValues(t, 2000, d.Histograms[lifecycle.HistogramKey{Kind: lifecycle.Wait, Reason: chanReceive}].Sum)
}

func TestCreatorStacks(t *testing.T) {
	with := func(r ring.Record, stack ...uint64) ring.Record {
		r.Stack = stack
		return r
	}
	m := newTested(t, all)
	many := make([]uint64, 100)
	for i := range many {
		many[i] = mainStart + 1
	}
	var got [][]uint64
	for _, e := range m.takeAll(
		created(0x200, 1, 0, mainStart),
		with(created(0x300, 2, 0x200, mainStart), 1, 2, mainStart+1, 3, 0, 4),
		with(created(0x400, 3, 0x200, mainStart), 1, 2, 3), // not of the go statement
		with(created(0x500, 4, 0, mainStart), mainStart+1, 3),
		with(created(0x600, 5, 0x200, mainStart), many...),
	) {
		got = append(got, e.CreatorStack)
		require.Empty(t, e.Stack)
	}
	require.Equal(t, [][]uint64{nil, {mainStart + 1, 3, 0, 4}, nil, nil, many[:stackFrames]}, got)
}

func TestWakers(t *testing.T) {
	m := newTested(t, all)
	by := func(r ring.Record, thread uint64) ring.Record { r.M = thread; return r }
	events := m.takeAll(
		created(0x200, 1, 0, mainStart), by(changed(0x200, 1, runnable, running), 4),
		by(changed(0x100, 5, running, waiting), 3), // preexisting
		by(changed(0x100, 5, waiting, runnable), 4),
		by(changed(0x100, 5, runnable, running), 3), by(changed(0x100, 5, running, waiting), 3),
		by(changed(0x100, 5, waiting, runnable), 9), // by a thread that runs no goroutine
	)
	var woken []lifecycle.Event
	for _, e := range events {
		if e.From == lifecycle.Waiting && e.To == lifecycle.Runnable {
			woken = append(woken, e)
		}
	}
	require.Len(t, woken, 2)
	assert.EqualValues(t, 0x200, woken[0].Waker)
	assert.EqualValues(t, 1, woken[0].WakerGoID)
	assert.Equal(t, 4, woken[0].TID)
	assert.Zero(t, woken[1].Waker)
	assert.True(t, woken[1].Preexisting)
}

func TestWhatIsNoChangeOfState(t *testing.T) {
	m := newTested(t, all)
	keeps := changed(0x100, 5, running, waiting)
	keeps.Reason = gcWorker
	m.takeAll(created(0x100, 5, 0, mainStart), changed(0x100, 5, runnable, running),
		changed(0x100, 5, running, copystack), changed(0x100, 5, copystack, running), keeps, changed(0x100, 5, waiting, running), changed(0x100, 5, idle, dead), changed(0x100, 5, 15, dead))
	n := m.figures.until(m.now)
	assert.EqualValues(t, 2, n.Transitions)
	assert.EqualValues(t, 5, n.Ignored)
	assert.EqualValues(t, 1, n.Repeats)
	assert.Zero(t, n.Resynchronized)
}

func TestSuspended(t *testing.T) {
	m := newTested(t, all)
	events := m.takeAll(created(0x100, 5, 0, mainStart), changed(0x100, 5, runnable, running), changed(0x100, 5, running, preempted))
	assert.EqualValues(t, suspended, events[2].ToReason)
	assert.Empty(t, events[2].Stack)
}

func TestMissedChanges(t *testing.T) {
	m := newTested(t, all)
	events := m.takeAll(created(0x100, 5, 0, mainStart), changed(0x100, 5, waiting, runnable), changed(0x100, 5, runnable, running),
		created(0x100, 6, 0, mainStart)) // the exit of the one before was missed
	n := m.figures.until(m.now)
	assert.EqualValues(t, 1, n.Resynchronized, "of the exit; from runnable to runnable nothing changed")
	assert.EqualValues(t, 2, n.Created)
	assert.EqualValues(t, 1, n.Exited)
	assert.EqualValues(t, [lifecycle.States]int64{lifecycle.Runnable: 1}, n.Live)
	events = append(events, m.takeAll(changed(0x100, 6, waiting, running))...)
	assert.EqualValues(t, 1, events[len(events)-1].Lost)
	assert.Equal(t, events[len(events)-1].Time, events[len(events)-1].Since, "nobody knows since when")
	assert.EqualValues(t, 2, m.figures.until(m.now).Resynchronized)
	assert.EqualValues(t, 2000, m.figures.until(m.now).Time[lifecycle.Runnable], "before the one that was missed")
}

func TestSystemGoroutinesDoNotCount(t *testing.T) {
	m := newTested(t, all)
	m.bias = 0x500
	events := m.takeAll(created(0x100, 5, 0, systemStart+0x500), changed(0x100, 5, runnable, running))
	assert.True(t, events[0].System)
	assert.Zero(t, m.figures.until(m.now).Created)
	assert.Zero(t, m.figures.until(m.now).Live)
}

func TestTreesAreSampledAsAWhole(t *testing.T) {
	m := newTested(t, engine.Settings{SamplingRatio: 0.5, RootAge: time.Hour})
	members := map[uint64]int{}
	for i := range uint64(200) {
		root := 0x10000 * (i + 1)
		for _, e := range m.takeAll(created(root, i, 0, mainStart), created(root+8, i, root, mainStart), created(root+16, i, root+8, mainStart)) {
			members[e.G&^0xffff]++
		}
	}
	assert.Greater(t, len(members), 50)
	assert.Less(t, len(members), 150)
	for _, n := range members {
		assert.Equal(t, 3, n)
	}
	assert.EqualValues(t, 600, m.figures.until(m.now).Created)
}

func TestWithheldTrees(t *testing.T) {
	m := newTested(t, all)
	m.withheld = m.below
	assert.Empty(t, m.takeAll(created(0x100, 5, 0, mainStart)))
	assert.EqualValues(t, 1, m.figures.until(m.now).TreesWithheld)
}

func TestNoRoomForEvents(t *testing.T) {
	m := newTested(t, all)
	m.queue.capacity = 8
	m.queue.begin()
	take := func(r ring.Record) { m.now += 1000; m.machine.take(&r, m.now) }
	take(created(0x100, 5, 0, mainStart))
	for range 20 {
		take(changed(0x100, 5, runnable, running))
		take(changed(0x100, 5, running, runnable))
	}
	take(changed(0x100, 5, runnable, running))
	take(changed(0x100, 5, running, dead))
	take(created(0x200, 6, 0, mainStart))
	m.queue.end()
	var e lifecycle.Event
	var last lifecycle.Event
	n := 0
	for m.queue.poll(&e) {
		last = e
		n++
	}
	assert.Equal(t, 7, n, "of six places for all, and two for creations and exits, the last is an exit: more is not sampled than waits")
	assert.Equal(t, lifecycle.Exited, last.Kind)
	assert.EqualValues(t, 36, last.Lost)
	counts := m.figures.until(m.now)
	assert.EqualValues(t, 36, counts.EventsLost)
	assert.EqualValues(t, 1, counts.TreesWithheld)
}

// TestLateReasons takes a wait back that kept its thread, as before Go 1.20.
func TestLateReasons(t *testing.T) {
	m := newTested(t, all)
	m.rules.lateReasons = true
	m.takeAll(created(0x100, 5, 0, mainStart), changed(0x100, 5, runnable, running), changed(0x100, 5, running, waiting), changed(0x100, 5, waiting, running))
	n := m.figures.until(m.now)
	assert.Zero(t, n.Time[lifecycle.Waiting])
	assert.EqualValues(t, 1, n.Live[lifecycle.Running])
	assert.Empty(t, m.figures.distributions().Histograms[lifecycle.HistogramKey{Kind: lifecycle.Wait, Reason: chanReceive}])
}

func TestNoRoomForGoroutines(t *testing.T) {
	m := newTested(t, engine.Settings{})
	m.goroutines.most = 300
	for i := range uint64(1000) {
		m.takeAll(created(8*(i+1), i, 0, mainStart))
	}
	assert.EqualValues(t, 700, m.figures.until(m.now).Untracked)
	assert.EqualValues(t, 300, m.figures.until(m.now).Live[lifecycle.Runnable])
	assert.EqualValues(t, 1<<20-300, m.goroutines.room.left.Load())
	m.goroutines.free()
	assert.EqualValues(t, 1<<20, m.goroutines.room.left.Load())
}

// TestNothingIsAllocated for a change of a goroutine that is known, sampled or not.
func TestNothingIsAllocated(t *testing.T) {
	for _, s := range []engine.Settings{{}, all} {
		m := newTested(t, s)
		m.takeAll(created(0x100, 5, 0, mainStart))
		stack := []uint64{1, 2, 3, 4}
		var e lifecycle.Event
		cycle := []ring.Record{changed(0x100, 5, runnable, running), changed(0x100, 5, running, waiting), changed(0x100, 5, waiting, runnable)}
		cycle[1].Stack = stack
		assert.Zero(t, testing.AllocsPerRun(1000, func() {
			m.queue.begin()
			for i := range cycle {
				m.now += 1000
				m.machine.take(&cycle[i], m.now)
			}
			m.queue.end()
			for m.queue.poll(&e) {
			}
		}))
	}
}
