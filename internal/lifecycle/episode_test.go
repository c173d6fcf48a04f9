package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Functions that goroutines are started for.
const (
	mainPC    = 0x10
	requestPC = 0x20
	libraryPC = 0x30 // its homes are known beforehand
	otherPC   = 0x40
	helperPC  = 0x50
	carrierPC = 0x60
	requestAt = 77
)

// Reasons to wait.
const (
	receiving = iota + 1
	sending
	reading
	sleeping
	locking
	selecting
	signalled // by a sync.Cond
)

// Channels.
const (
	workChannel = iota + 1 // for which workers wait at home
	semaphore
)

// Program counters of places; those of reasons that bring no work need none.
const (
	ownPC = iota + 100
	nestedPC
	peekPC
	openPC
	acceptPC
	bodyPC
)

var episodeLimits = Limits{Intervals: 100, ShortestInterval: 1500, Segment: 1 << 62, Outlives: time.Second}

// fakePlaces knows those above.
type fakePlaces struct{ late bool }

func (fakePlaces) Role(pc uint64) Role {
	return map[uint64]Role{mainPC: Main, requestPC: Request, helperPC: Helper}[pc]
}

func (fakePlaces) Start(pc uint64) uint64 { return pc }

func (p fakePlaces) LateReasons() bool { return p.late }

func (fakePlaces) Sends(reason uint8) (may, has bool) {
	return reason == sending || reason == selecting, reason == sending
}

func (fakePlaces) Reads(reason uint8) bool { return reason == reading }

func (fakePlaces) Locks(reason uint8) bool { return reason == locking }

func (fakePlaces) Awaits(reason uint8) bool {
	return reason == receiving || reason == selecting || reason == signalled
}

func (fakePlaces) Handler(start uint64, s *Stack) (h Handler) {
	if pc := s.PCs[0]; (start == libraryPC || start == requestPC) && (pc == bodyPC || pc == nestedPC) {
		h = Handler{fmt.Sprint("handler ", pc), int(pc)}
	}
	return h
}

func (fakePlaces) Wait(start uint64, reason uint8, s *Stack) Place {
	source := map[uint8]Source{receiving: Channel, signalled: Channel, reading: Network, sleeping: Timer}[reason]
	if s == nil || source == Elsewhere {
		return Place{}
	}
	pc := s.PCs[0]
	return Place{
		Key: pc, Path: pc, Source: source, Channels: reason == receiving, Own: pc != nestedPC, Accepts: pc == acceptPC,
		Listed: start == libraryPC, Home: pc == peekPC || pc == openPC, Opening: pc == openPC, Carries: start == carrierPC,
	}
}

func (p fakePlaces) Read(start uint64, s *Stack) Place { return p.Wait(start, reading, s) }

// script writes events as a person would tell of them. Goroutine n has g and goid n.
type script struct {
	events []*Event
	state  map[uint64]*Event
	now    int64
	// channel is by which goroutines wake each other.
	channel uint64
}

func newScript() *script { return &script{state: map[uint64]*Event{}, channel: workChannel} }

// by has goroutines wake each other by a channel from now on, which is not known if it is 0.
func (s *script) by(channel uint64) *script {
	s.channel = channel
	return s
}

// later lets time pass, in ns.
func (s *script) later(ns int64) *script {
	s.now += ns
	return s
}

// start creates a goroutine, which runs at once.
func (s *script) start(g, by, pc uint64) *script {
	e := created(s.now, g, g, by, false)
	e.StartPC = pc
	s.events = append(s.events, e)
	s.state[g] = e
	return s.becomes(g, Running, 0, 0, 0)
}

// becomes changes the state of a goroutine.
func (s *script) becomes(g uint64, to State, reason uint8, pc, waker uint64) *script {
	before := s.state[g]
	e := changed(before.Time, s.now, g, g, before.To, to)
	e.FromReason, e.ToReason, e.Waker, e.WakerGoID = before.ToReason, reason, waker, waker
	if reason := before.ToReason; waker != 0 && (reason == receiving || reason == sending || reason == selecting) {
		e.Channel = s.channel
	}
	if pc != 0 {
		e.Stack = []uint64{pc}
	}
	s.events = append(s.events, e)
	s.state[g] = e
	s.now += 1000
	return s
}

func (s *script) waits(g uint64, reason uint8, pc uint64) *script {
	return s.becomes(g, Waiting, reason, pc, 0)
}

// woken ends a wait; by is 0 for the network and timers.
func (s *script) woken(g, by uint64) *script {
	return s.becomes(g, Runnable, 0, 0, by).becomes(g, Running, 0, 0, 0)
}

// calls has a goroutine make a system call of some ns.
func (s *script) calls(g, pc uint64, ns int64) *script {
	return s.becomes(g, Syscall, 0, pc, 0).later(ns).becomes(g, Running, 0, 0, 0)
}

// yields has a goroutine give up its thread some times.
func (s *script) yields(g uint64, times int) *script {
	for range times {
		s.becomes(g, Runnable, 0, 0, 0).becomes(g, Running, 0, 0, 0)
	}
	return s
}

func (s *script) exits(g uint64) *script {
	before := s.state[g]
	s.events = append(s.events, exited(before.Time, s.now, g, g))
	s.now += 1000
	return s
}

// told writes what has become of the goroutines: of each span its name, of those in a trace the root and parent, and the cause.
func told(all []*Goroutine) (lines []string) {
	for _, g := range all {
		line := fmt.Sprintf("%d.%d", g.GoID, g.Segment)
		if g.Episodes > 0 {
			line += fmt.Sprintf(" life of %d", g.Episodes)
		}
		line += fmt.Sprintf(" in %d.%d", g.Tree.Root, g.Tree.Segment)
		switch {
		case g.Follows:
			line += fmt.Sprintf(" after %d.%d", g.Parent.GoID, g.Parent.Segment)
		case g.Parent.Followed():
			line += fmt.Sprintf(" of %d.%d", g.Parent.GoID, g.Parent.Segment)
		}
		lines = append(lines, strings.TrimSpace(line+" "+g.Cause.String()))
	}
	return lines
}

// connection has main accept a connection and goroutine 2 serve it.
func connection() *script {
	return newScript().start(1, 0, mainPC).waits(1, reading, acceptPC).woken(1, 0).start(2, 1, libraryPC)
}

// busyWorker has worker 2 do a job for request 3, while request 4 runs.
func busyWorker() *script {
	return newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 1, requestPC).start(4, 1, requestPC).woken(2, 3)
}

func TestEpisodes(t *testing.T) {
	for name, c := range map[string]struct {
		script *script
		direct bool // the channel has no buffer
		want   []string
	}{
		"a request of a connection, with a goroutine below it": {
			script: connection().waits(2, reading, openPC).woken(2, 0).start(3, 2, otherPC).waits(2, locking, 0).exits(3).woken(2, 3).calls(2, bodyPC, 9).
				waits(2, reading, peekPC).woken(2, 0).exits(2),
			want: []string{"3.0 in 2.1 of 2.1", "2.1 in 2.1 exact", "2.0 life of 2 in 2.0 after 1.0"},
		},
		"two requests that were there already": {
			script: connection().calls(2, openPC, 9).start(3, 2, otherPC).exits(3).calls(2, bodyPC, 9).calls(2, peekPC, 9).start(4, 2, otherPC).exits(4).
				calls(2, bodyPC, 9).waits(2, reading, peekPC),
			want: []string{"3.0 in 2.1 of 2.1", "2.1 in 2.1 exact", "4.0 in 2.2 of 2.2", "2.2 in 2.2 exact"},
		},
		"a request that was there already, after many states": {
			script: connection().waits(2, reading, openPC).woken(2, 0).yields(2, leastFold/2-4).calls(2, bodyPC, 9).calls(2, peekPC, 9).yields(2, 4).
				start(3, 2, otherPC).exits(3).waits(2, reading, peekPC),
			want: []string{"2.1 in 2.1 exact", "3.0 in 2.2 of 2.2", "2.2 in 2.2 exact"},
		},
		"a request that was there already, and computes for long": {
			script: connection().waits(2, reading, openPC).woken(2, 0).calls(2, bodyPC, 9).calls(2, peekPC, 9).yields(2, leastFold).
				waits(2, reading, peekPC),
			want: []string{"2.1 in 2.1 exact", "2.2 in 2.2 exact"},
		},
		"a read before a wait finds nothing": {
			script: connection().waits(2, reading, openPC).woken(2, 0).calls(2, peekPC, 9).start(3, 2, otherPC).exits(3).calls(2, bodyPC, 9).
				calls(2, peekPC, 9).waits(2, reading, peekPC),
			want: []string{"3.0 in 2.1 of 2.1", "2.1 in 2.1 exact"},
		},
		"a job through a channel without a buffer": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 1, requestPC).
				woken(2, 3).waits(2, receiving, ownPC).exits(3),
			direct: true,
			want:   []string{"2.1 in 3.0 of 3.0 exact", "3.0 in 3.0 after 1.0"},
		},
		"a job through a channel that may have a buffer": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 1, requestPC).
				woken(2, 3).waits(2, receiving, ownPC).exits(3),
			want: []string{"2.1 in 2.1 after 3.0 unknown", "3.0 in 3.0 after 1.0"},
		},
		"a worker that takes what another waits to send": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 1, requestPC).start(4, 1, requestPC).
				woken(2, 3).waits(4, sending, 0).woken(4, 2).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"2.1 in 3.0 of 3.0 exact", "2.2 in 4.0 of 4.0 exact"},
		},
		"a worker that takes what another waits to send to a full buffer": {
			script: busyWorker().waits(4, sending, 0).woken(4, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 2.1 after 3.0 unknown", "2.2 in 2.2 after 4.0 unknown"},
		},
		"a worker that takes something from another channel": {
			script: busyWorker().waits(4, sending, 0).by(semaphore).woken(4, 2).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"2.1 in 3.0 of 3.0 exact"},
		},
		"a worker that takes something from who knows where": {
			script: busyWorker().waits(4, sending, 0).by(0).woken(4, 2).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"2.1 in 3.0 of 3.0 exact", "2.2 in 2.2 after 4.0 unknown"},
		},
		"a worker that takes what another offers in a select": {
			script: busyWorker().waits(4, selecting, 0).woken(4, 2).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"2.1 in 3.0 of 3.0 exact", "2.2 in 4.0 of 4.0 assumed"},
		},
		"a worker that ends a select for something else": {
			script: busyWorker().waits(4, selecting, 0).by(semaphore).woken(4, 2).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"2.1 in 3.0 of 3.0 exact"},
		},
		"a worker that ends a select by who knows what": {
			script: busyWorker().waits(4, selecting, 0).by(0).woken(4, 2).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"2.1 in 3.0 of 3.0 exact"},
		},
		"what a request has created is not cut": {
			script: newScript().start(3, 0, requestPC).start(2, 3, otherPC).waits(2, receiving, ownPC).woken(2, 3).waits(2, receiving, ownPC).woken(2, 3).
				exits(2).exits(3),
			direct: true,
			want:   []string{"2.0 in 3.0 of 3.0", "3.0 in 3.0"},
		},
		"unless it outlives the request": {
			script: newScript().start(3, 0, requestPC).start(2, 3, otherPC).waits(2, receiving, ownPC).start(4, 0, requestPC).exits(3).woken(2, 4).exits(2),
			direct: true,
			want:   []string{"3.0 in 3.0", "2.1 in 4.0 of 4.0 exact", "2.0 life of 1 in 3.0 of 3.0"},
		},
		"start-up causes nothing": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).woken(2, 1).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"2.1 in 2.1 after 1.0 exact"},
		},
		"what waited for too long ago is over": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 0, requestPC).start(4, 3, otherPC).exits(3).
				later(2e9).woken(2, 4).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"3.0 in 3.0", "2.1 in 2.1 after 4.0 exact"},
		},
		"an answer from the network": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).start(3, 0, requestPC).waits(3, receiving, nestedPC).
				woken(2, 0).woken(3, 2).waits(2, reading, ownPC).exits(3),
			want: []string{"2.1 in 3.0 of 3.0 exact", "3.0 in 3.0"},
		},
		"a request that came while the world was stopped": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).start(3, 0, requestPC).woken(2, 3).start(4, 2, otherPC).exits(4).
				waits(2, reading, ownPC).exits(3),
			want: []string{"4.0 in 2.1 of 2.1", "2.1 in 2.1 exact", "3.0 in 3.0"},
		},
		"an answer that came while the world was stopped": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).start(3, 0, requestPC).waits(3, reading, nestedPC).
				woken(2, 0).woken(3, 2).waits(2, reading, ownPC).exits(3),
			want: []string{"2.1 in 2.1 exact", "3.0 in 3.0"},
		},
		"a function that a timer starts": {
			script: newScript().start(1, 0, mainPC).start(3, 0, requestPC).waits(3, receiving, nestedPC).start(2, 0, otherPC).woken(3, 2).exits(2).exits(3),
			want:   []string{"2.0 in 3.0 of 3.0", "3.0 in 3.0"},
		},
		"an answer of one for whose lock another waits": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).start(3, 0, requestPC).start(4, 0, requestPC).
				waits(3, receiving, nestedPC).waits(4, locking, nestedPC).woken(2, 0).woken(4, 2).woken(3, 2).waits(2, reading, ownPC).exits(3),
			want: []string{"2.1 in 3.0 of 3.0 exact", "3.0 in 3.0"},
		},
		"answers for two": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).start(3, 0, requestPC).start(4, 0, requestPC).
				waits(3, receiving, nestedPC).waits(4, receiving, nestedPC).woken(2, 0).woken(3, 2).woken(4, 2).waits(2, reading, ownPC),
			want: []string{"2.1 in 2.1 exact"},
		},
		"a reader that only starts requests is not told of": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).woken(2, 0).start(3, 2, requestPC).
				waits(2, reading, ownPC).exits(3),
			want: []string{"3.0 in 3.0 after 2.0"},
		},
		"the main goroutine waits for what it has started": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(1, receiving, ownPC).woken(1, 2).waits(1, receiving, ownPC).woken(1, 2).exits(1),
			want:   []string{"1.0 in 1.0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := play(c.script, fakePlaces{}, c.direct)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// play handles the events of a script, and returns what is told of them.
func play(s *script, places fakePlaces, direct bool) (got []string) {
	return playWithin(episodeLimits, s, places, direct)
}

func playWithin(limits Limits, s *script, places fakePlaces, direct bool) (got []string) {
	tr := NewTracker(limits, places, NewHomes())
	for _, e := range s.events {
		if e.Channel != 0 && !direct {
			e.BufferSize = 3
		}
		got = append(got, told(tr.Handle(e))...)
	}
	return got
}

// TestLateReasons has the reason of each wait told at its end only.
func TestLateReasons(t *testing.T) {
	s := connection()
	for range 2 {
		s.waits(2, reading, peekPC).woken(2, 0).start(3, 2, otherPC).exits(3)
	}
	s.waits(2, reading, peekPC).woken(2, 0)
	for _, e := range s.events {
		if e.To == Waiting {
			e.ToReason = locking
		}
	}
	want := []string{"3.0 in 2.1 of 2.1", "3.0 in 2.2 of 2.2", "2.1 in 2.1 exact", "2.2 in 2.2 exact"}
	got := play(s, fakePlaces{late: true}, false)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWakersThatMove has an episode turn out at its end to belong to the trace of the one that it has woken, which names it as its waker.
func TestWakersThatMove(t *testing.T) {
	s := newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).start(3, 0, requestPC).waits(3, receiving, nestedPC).
		woken(2, 0).woken(3, 2).waits(2, reading, ownPC).exits(3)
	tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
	ended := handle(tr, s.events...)
	want := Ref{GoID: 2, StartPC: otherPC, Segment: 1, Tree: Tree{Root: 3}}
	if g := ended[len(ended)-1]; g.GoID != 3 || g.Intervals[0].Waker != want {
		t.Errorf("the waker in %+v is not %+v", g.Intervals, want)
	}
}

// TestSegmentsOfEpisodes cuts an episode that lasts long, and lets alone what waits at home.
func TestSegmentsOfEpisodes(t *testing.T) {
	s := newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).woken(2, 0)
	tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 20, Outlives: time.Second}, fakePlaces{}, NewHomes())
	handle(tr, s.events...)
	got := told(tr.Segments(1<<21, 10))
	slices.Sort(got)
	if diff := cmp.Diff([]string{"1.0 in 1.0", "2.1 in 2.1 exact"}, got); diff != "" {
		t.Error(diff)
	}
	events := len(s.events)
	s.later(1<<21).waits(2, reading, ownPC)
	if diff := cmp.Diff([]string{"2.2 in 2.2 exact"}, told(handle(tr, s.events[events:]...))); diff != "" {
		t.Error(diff)
	}
	for _, g := range tr.Segments(1<<23, 10) {
		if g.GoID == 2 {
			t.Error("a segment is told of a goroutine at home")
		}
	}
}

// TestWithheldEpisodes tells nothing of traces that begin while too much is told, and of what is in them.
func TestWithheldEpisodes(t *testing.T) {
	s := connection().waits(2, reading, peekPC)
	tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
	handle(tr, s.events...)
	tr.Withhold(true)
	events := len(s.events)
	s.woken(2, 0).start(3, 2, otherPC).exits(3).waits(2, reading, peekPC)
	if got := told(handle(tr, s.events[events:]...)); got != nil {
		t.Errorf("told is %v", got)
	}
	tr.Withhold(false)
	events = len(s.events)
	s.woken(2, 0).start(4, 2, otherPC).exits(4).waits(2, reading, peekPC)
	if diff := cmp.Diff([]string{"4.0 in 2.2 of 2.2", "2.2 in 2.2 exact"}, told(handle(tr, s.events[events:]...))); diff != "" {
		t.Error(diff)
	}
}

// TestTracesAreBounded has a goroutine begin one episode after the other for the same trace: what there is no room for is counted on the request, and
// so is what it creates and wakes.
func TestTracesAreBounded(t *testing.T) {
	s := newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(4, 1, otherPC).waits(4, receiving, ownPC).start(3, 0, requestPC)
	for range 2 * maxPieces {
		s.woken(2, 3).woken(4, 2).waits(4, receiving, ownPC).start(5, 2, otherPC).exits(5).waits(2, receiving, ownPC)
	}
	s.exits(3)
	in, others := map[uint64]int{}, 0
	var request *Goroutine
	tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
	for _, e := range s.events {
		for _, g := range tr.Handle(e) {
			switch {
			case g.GoID == 3:
				request = g
			case g.Tree.Root == 3:
				in[g.GoID]++
			default:
				others++
			}
		}
		for _, w := range tr.Asked() {
			w.Channels = []Hchan{{Address: workChannel}}
			tr.Learn(w)
		}
	}
	if in[2]+in[4] != maxPieces || in[5] != in[2] || others != 0 {
		t.Errorf("in the trace of a request are %v, in others %d", in, others)
	}
	if want := uint32(3*2*maxPieces - in[2] - in[4] - in[5]); request.Omitted != want || request.InTrace != uint32(1+in[2]+in[4]+in[5]) {
		t.Errorf("the request tells of %d in its trace and %d that are not, want %d", request.InTrace, request.Omitted, want)
	}
}

// TestManyGoroutines has a request start many goroutines: they are all in its trace, up to its limit, and others are counted on the request,
// also those that do what the others have woken them for.
func TestManyGoroutines(t *testing.T) {
	for name, c := range map[string]struct{ limit, in int }{"room for all": {0, 1000}, "room for some": {201, 200}} {
		t.Run(name, func(t *testing.T) {
			s := newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 0, requestPC)
			for g := uint64(10); g < 1010; g++ {
				s.start(g, 3, otherPC).later(1e6)
			}
			s.woken(2, 1009).waits(2, receiving, ownPC)
			for g := uint64(10); g < 1010; g++ {
				s.exits(g)
			}
			s.exits(3)
			limits := episodeLimits
			limits.TreeIntervals = c.limit
			tr := NewTracker(limits, fakePlaces{}, NewHomes())
			in, jobs := 0, 0
			for _, e := range s.events {
				for _, g := range tr.Handle(e) {
					switch {
					case g.Tree.Root != 3:
						t.Errorf("goroutine %d is in the trace of %d", g.GoID, g.Tree.Root)
					case g.GoID == 2:
						jobs++
					case g.GoID != 3:
						in++
					default:
						if want := uint32(1001 - in - jobs); g.Omitted != want || g.InTrace != uint32(1+in+jobs) {
							t.Errorf("the request tells of %d in its trace and %d that are not, want %d", g.InTrace, g.Omitted, want)
						}
					}
				}
				for _, w := range tr.Asked() {
					w.Channels = []Hchan{{Address: workChannel}}
					tr.Learn(w)
				}
			}
			if in != c.in || (jobs == 1) != (c.limit == 0) {
				t.Errorf("%d goroutines and %d pieces of work are in the trace of a request", in, jobs)
			}
		})
	}
}

// TestParkedBefore has a goroutine wait at home when it is found.
func TestParkedBefore(t *testing.T) {
	for name, c := range map[string]struct {
		pc   uint64
		want []string
	}{
		"at home":      {ownPC, []string{"3.0 in 2.1 of 2.1", "2.1 in 2.1 exact", "2.0 life of 1 in 2.0"}},
		"nobody knows": {0, []string{"3.0 in 3.0 after 2.0", "2.0 in 2.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			found := created(s.now, 2, 2, 0, true)
			found.Preexisting, found.From, found.To, found.ToReason, found.StartPC = true, Waiting, Waiting, reading, otherPC
			if c.pc != 0 {
				found.Stack = []uint64{c.pc}
			}
			s.events, s.state[2] = append(s.events, found), found
			s.later(1000).woken(2, 0).start(3, 2, otherPC).exits(3).exits(2)
			if diff := cmp.Diff(c.want, play(s, fakePlaces{}, false)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLostEvents has events of a goroutine be lost, in an episode and at home: what it does then may be for anything.
func TestLostEvents(t *testing.T) {
	s := newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).woken(2, 0).start(3, 2, otherPC).exits(3).waits(2, reading, ownPC).
		woken(2, 0).start(4, 2, otherPC).exits(4).waits(2, reading, ownPC)
	lost := 0
	for i, e := range s.events {
		if e.G != 2 || e.Kind != Transition || e.To != Running || i < 5 {
			continue
		}
		if lost++; lost == 1 {
			e.Lost = 1
		}
	}
	s.events[len(s.events)-1].Lost = 2
	want := []string{"3.0 in 2.1 of 2.1", "2.1 in 2.1 unknown", "4.0 in 2.2 of 2.2", "2.2 in 2.2 unknown"}
	if diff := cmp.Diff(want, play(s, fakePlaces{}, false)); diff != "" {
		t.Error(diff)
	}
}

// TestLasting asks, after each event of a connection's goroutine, which span an interval is in that ends then.
func TestLasting(t *testing.T) {
	s := connection().waits(2, reading, openPC).woken(2, 0).start(3, 2, otherPC).waits(2, locking, 0).exits(3).woken(2, 3).waits(2, reading, peekPC).
		woken(2, 0).exits(2)
	tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
	var got []int
	for _, e := range s.events {
		ended := tr.Handle(e)
		g := tr.Get(e.G)
		if e.Kind == Exited {
			g = ended[len(ended)-1]
		}
		if e.G == 2 {
			got = append(got, g.Lasting(e.Since).Segment)
		}
	}
	// Created, runs, waits; woken and runs, as yet for nothing that must be told; then a request, until it waits for the next; which is none.
	if diff := cmp.Diff([]int{0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0}, got); diff != "" {
		t.Error(diff)
	}
}

// TestFoundAgain follows a process twice: nothing has the name of what it had at the first time.
func TestFoundAgain(t *testing.T) {
	s := newScript()
	seen := map[Ref]bool{}
	for range 2 {
		s.later(1e9)
		from := len(s.events)
		found := created(s.now, 2, 2, 0, true)
		found.Preexisting, found.From, found.To, found.ToReason, found.StartPC = true, Waiting, Waiting, reading, otherPC
		found.Stack = []uint64{ownPC}
		s.events, s.state[2] = append(s.events, found), found
		for range 3 {
			s.later(1000).woken(2, 0).calls(2, bodyPC, 9).waits(2, reading, ownPC)
		}
		tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
		all := append(handle(tr, s.events[from:]...), tr.Interrupt(s.now, Unfollowed)...)
		if len(all) != 4 {
			t.Fatalf("%v is told", told(all))
		}
		for i, g := range all {
			for _, name := range []Ref{{GoID: g.GoID, Segment: g.Segment}, {Tree: g.Tree}} {
				if seen[name] {
					t.Errorf("%+v is told twice", name)
				}
				seen[name] = true
			}
			if want := []int{1, 2, 3, 0}[i]; g.Ordinal() != want {
				t.Errorf("it is part %d, want %d", g.Ordinal(), want)
			}
		}
	}
}

// TestWhatEpisodesAre looks at what has begun each piece of work, and at who serves a request: the innermost of the functions that have passed it on.
func TestWhatEpisodesAre(t *testing.T) {
	type is struct {
		By      Source
		Handler string
	}
	for name, c := range map[string]struct {
		script *script
		want   map[Ref]is // by goroutine and segment
	}{
		"a connection": {
			connection().waits(2, reading, openPC).woken(2, 0).waits(2, locking, nestedPC).woken(2, 0).calls(2, bodyPC, 9).calls(2, peekPC, 9).calls(2, nestedPC, 9).
				waits(2, reading, peekPC).woken(2, 0).start(3, 2, otherPC).exits(3).exits(2),
			map[Ref]is{{GoID: 2, Segment: 1}: {Network, "handler 105"}, {GoID: 2, Segment: 2}: {Network, "handler 101"}, {GoID: 2, Segment: 3}: {Network, ""}, {GoID: 2}: {}, {GoID: 3}: {}},
		},
		"a goroutine for a request": {
			newScript().start(3, 0, requestPC).calls(3, nestedPC, 9).exits(3),
			map[Ref]is{{GoID: 3}: {Network, "handler 101"}},
		},
		"a job": {
			newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(3, 0, requestPC).woken(2, 3).waits(2, receiving, ownPC).
				woken(2, 0).calls(2, bodyPC, 9).waits(2, receiving, ownPC).exits(3),
			map[Ref]is{{GoID: 2, Segment: 1}: {Channel, ""}, {GoID: 2, Segment: 2}: {}, {GoID: 3}: {Network, ""}},
		},
		"an answer": {
			newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, reading, ownPC).start(3, 0, requestPC).waits(3, receiving, nestedPC).
				woken(2, 0).woken(3, 2).waits(2, reading, ownPC).exits(3),
			map[Ref]is{{GoID: 2, Segment: 1}: {}, {GoID: 3}: {Network, "handler 101"}},
		},
		"what comes from time to time": {
			newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, sleeping, ownPC).woken(2, 0).waits(2, sleeping, ownPC).woken(2, 0).calls(2, bodyPC, 9).waits(2, sleeping, ownPC),
			map[Ref]is{{GoID: 2, Segment: 1}: {Timer, ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[Ref]is{}
			for _, g := range handle(NewTracker(episodeLimits, fakePlaces{}, NewHomes()), c.script.events...) {
				got[Ref{GoID: g.GoID, Segment: g.Segment}] = is{g.BegunBy, g.Handler.Function}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
