package lifecycle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// job is how long a worker needs for one, in ns.
const job = 50_000

// askedWorker has worker 2 do a job for request 3, with which others may be in the buffer; requests 3 and 4 wait for answers by channels of their own.
func askedWorker() *script {
	return busyWorker().by(semaphore).waits(3, receiving, nestedPC).waits(4, receiving, nestedPC).later(job)
}

// signalledWorker has worker 2 wait for a sync.Cond until request 3 signals it. Requests 3 and 4 wait for answers.
func signalledWorker() *script {
	return newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, signalled, ownPC).start(3, 1, requestPC).start(4, 1, requestPC).woken(2, 3).
		by(semaphore).waits(3, receiving, nestedPC).waits(4, selecting, 0).later(job)
}

// TestReplies has a worker take jobs out of a buffer one after the other, without anybody telling of that, and answer who waits.
func TestReplies(t *testing.T) {
	for name, c := range map[string]struct {
		script *script
		direct bool
		want   []string
	}{
		"one": {
			script: askedWorker().woken(3, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 3.0 of 3.0 assumed"},
		},
		"one after the other": {
			script: askedWorker().woken(3, 2).later(job).woken(4, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 3.0 of 3.0 assumed", "2.2 in 4.0 of 4.0 assumed"},
		},
		"jobs of a list with a sync.Cond": {
			script: signalledWorker().woken(4, 2).later(job).woken(3, 2).waits(2, signalled, ownPC),
			want:   []string{"2.1 in 4.0 of 4.0 assumed", "2.2 in 3.0 of 3.0 assumed"},
		},
		"a token of a semaphore is no job of a list": {
			script: signalledWorker().start(5, 1, requestPC).waits(5, sending, 0).woken(5, 2).woken(3, 2).waits(2, signalled, ownPC),
			want:   []string{"2.1 in 3.0 of 3.0 assumed"},
		},
		"a timer has begun it": {
			script: askedWorker().woken(3, 2).waits(2, receiving, ownPC).waits(3, selecting, 0).woken(2, 0).later(job).woken(4, 2).later(job).woken(3, 2).
				waits(2, receiving, ownPC),
			want: []string{"2.1 in 3.0 of 3.0 assumed", "2.2 in 4.0 of 4.0 assumed", "2.3 in 3.0 of 3.0 assumed"},
		},
		"to one twice": {
			script: askedWorker().woken(3, 2).waits(3, selecting, 0).later(job).woken(3, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 3.0 of 3.0 assumed"},
		},
		"to one who asked after the one before was answered": {
			script: askedWorker().woken(3, 2).start(5, 1, requestPC).waits(5, receiving, nestedPC).later(job).woken(5, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 3.0 of 3.0 assumed", "2.2 in 5.0 of 5.0 assumed"},
		},
		"to one who came after the work began": {
			script: signalledWorker().start(5, 1, requestPC).waits(5, receiving, nestedPC).woken(5, 2).waits(2, signalled, ownPC),
			want:   []string{"2.1 in 2.1 after 3.0 unknown"},
		},
		"to all who waited for the same": {
			script: askedWorker().woken(3, 2).woken(4, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 2.1 after 3.0 unknown"},
		},
		"to another than who has brought a job": {
			script: askedWorker().woken(4, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 2.1 after 3.0 unknown"},
		},
		"to another than who has brought a job, for whom is not known": {
			script: newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).start(6, 1, libraryPC+1).waits(6, receiving, ownPC).
				start(3, 1, requestPC).by(semaphore).woken(6, 3).waits(3, selecting, 0).by(workChannel).woken(2, 6).later(job).by(semaphore).woken(3, 2).
				waits(2, receiving, ownPC).waits(6, receiving, ownPC),
			want: []string{"2.1 in 3.0 of 3.0 assumed", "6.1 in 6.1 after 3.0 unknown"},
		},
		"before it gives the next job to another worker": {
			script: busyWorker().start(6, 1, libraryPC+1).waits(6, signalled, ownPC).by(semaphore).waits(3, receiving, nestedPC).later(job).
				woken(3, 2).later(job).woken(6, 2).later(job).waits(2, receiving, ownPC),
			want: []string{"2.1 in 3.0 of 3.0 assumed", "2.2 in 2.2 unknown"},
		},
		"after it has given work to another worker": {
			script: askedWorker().start(6, 1, libraryPC+1).waits(6, signalled, ownPC).woken(6, 2).woken(3, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 2.1 after 3.0 unknown"},
		},
		"before it creates a goroutine": {
			script: askedWorker().woken(3, 2).later(job).start(6, 2, otherPC).waits(2, receiving, ownPC).exits(6),
			want:   []string{"2.1 in 3.0 of 3.0 assumed", "2.2 in 2.2 unknown", "6.0 in 2.2 of 2.2"},
		},
		"after it has created a goroutine": {
			script: askedWorker().start(6, 2, otherPC).woken(3, 2).waits(2, receiving, ownPC).exits(6),
			want:   []string{"2.1 in 2.1 after 3.0 unknown", "6.0 in 2.1 of 2.1"},
		},
		"before it does much": {
			script: askedWorker().woken(3, 2).yields(2, leastFold).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 3.0 of 3.0 assumed", "2.2 in 2.2 unknown"},
		},
		"a mutex is no answer": {
			script: busyWorker().waits(3, locking, 0).woken(3, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 2.1 after 3.0 unknown"},
		},
		"nor is room in the buffer": {
			script: busyWorker().waits(3, selecting, 0).woken(3, 2).waits(2, receiving, ownPC),
			want:   []string{"2.1 in 2.1 after 3.0 unknown", "2.2 in 2.2 after 3.0 unknown"},
		},
		"nor what workers tell each other": {
			script: newScript().start(5, 0, otherPC).start(1, 0, mainPC).start(2, 1, otherPC).waits(2, signalled, ownPC).woken(2, 0).
				waits(5, receiving, nestedPC).woken(5, 2).waits(2, signalled, ownPC),
			want: []string{"2.1 in 2.1 exact"},
		},
		"nor what it has started waits for": {
			script: askedWorker().start(5, 2, libraryPC).waits(5, selecting, 0).woken(5, 2).later(job).woken(3, 2).waits(2, receiving, ownPC).exits(5),
			want:   []string{"2.1 in 2.1 after 3.0 unknown", "5.0 in 2.1 of 2.1"},
		},
		"of a library's goroutine whose homes are known": {
			script: newScript().start(1, 0, mainPC).start(2, 1, libraryPC).waits(2, receiving, openPC).start(3, 1, requestPC).woken(2, 3).by(semaphore).
				waits(3, receiving, nestedPC).later(job).woken(3, 2).waits(2, receiving, openPC).exits(2),
			want: []string{"2.1 in 2.1 after 3.0 unknown", "2.0 life of 1 in 1.0 of 1.0"},
		},
		"of a job that is known": {
			script: askedWorker().woken(4, 2).later(job).woken(3, 2).waits(2, receiving, ownPC),
			direct: true,
			want:   []string{"2.1 in 3.0 of 3.0 exact"},
		},
		"at the end of a worker": {
			script: askedWorker().woken(3, 2).exits(2),
			want:   []string{"2.1 in 3.0 of 3.0 assumed", "2.0 life of 1 in 1.0 of 1.0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, play(c.script, fakePlaces{}, c.direct)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestHelpersAreNotAnswered has a worker end a wait of a goroutine of which nothing is told.
func TestHelpersAreNotAnswered(t *testing.T) {
	s := signalledWorker().start(5, 3, helperPC).waits(5, receiving, nestedPC).woken(5, 2).later(job).woken(3, 2).waits(2, signalled, ownPC)
	limits := episodeLimits
	limits.Hide = true
	got := told(handle(NewTracker(limits, fakePlaces{}, NewHomes()), s.events...))
	if diff := cmp.Diff([]string{"2.1 in 3.0 of 3.0 assumed"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRepliesWithLoss loses events of a worker that replies: which jobs it has had is not known.
func TestRepliesWithLoss(t *testing.T) {
	s := askedWorker()
	s.becomes(2, Runnable, 0, 0, 0).becomes(2, Running, 0, 0, 0).events[len(s.events)-1].Lost = 2
	got := play(s.woken(3, 2).later(job).woken(4, 2).waits(2, receiving, ownPC), fakePlaces{}, false)
	if diff := cmp.Diff([]string{"2.1 in 2.1 after 3.0 unknown", "2.2 in 4.0 of 4.0 assumed"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRepliesOfSegments tells a part of a long job before its reply: what is told stays, and so does what follows.
func TestRepliesOfSegments(t *testing.T) {
	for name, c := range map[string]struct {
		before, after func(s *script)
		want          []string
	}{
		"before the reply": {
			func(*script) {}, func(s *script) { s.woken(3, 2) },
			[]string{"2.1 in 2.1 after 3.0 unknown", "2.2 in 2.2 after 3.0 unknown"},
		},
		"after the reply": {
			func(s *script) { s.woken(3, 2) }, func(*script) {},
			[]string{"2.1 in 3.0 of 3.0 assumed", "2.2 in 2.2 unknown", "2.3 in 2.3 unknown"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := askedWorker()
			for _, e := range s.events {
				e.BufferSize = 3
			}
			c.before(s)
			tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 30, Outlives: 1 << 40}, fakePlaces{}, NewHomes())
			handle(tr, s.events...)
			s.later(1 << 31)
			var got []string
			for _, line := range told(tr.Segments(s.now, 10)) {
				if line[0] == '2' {
					got = append(got, line)
				}
			}
			s.later(job).events = nil
			c.after(s)
			got = append(got, told(handle(tr, s.waits(2, receiving, ownPC).events...))...)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhatReplies has a worker reply in the middle of an interval: what is before it is the first one's, and what is after it the next one's.
func TestWhatReplies(t *testing.T) {
	s := askedWorker().woken(3, 2).later(job).waits(2, locking, 0).later(job).woken(2, 0).later(job).woken(4, 2).waits(2, receiving, ownPC)
	for _, e := range s.events {
		e.BufferSize = 3
	}
	tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
	var pieces []*Goroutine
	for _, g := range handle(tr, s.events...) {
		pieces = append(pieces, g)
		sumsAreExact(t, g)
	}
	if len(pieces) != 2 || pieces[0].End != pieces[1].Start {
		t.Fatalf("the pieces are %+v", pieces)
	}
	if pieces[1].Intervals[0].Linked {
		t.Error("a link leads to what was after the reply")
	}
	var states []State
	at := pieces[1].Start
	for _, i := range pieces[1].Intervals {
		if i.Start != at {
			t.Errorf("an interval begins at %d, and not at %d: %+v", i.Start, at, pieces[1].Intervals)
		}
		states, at = append(states, i.State), i.End
	}
	if diff := cmp.Diff([]State{Running, Waiting, Runnable, Running}, states); diff != "" {
		t.Error(diff)
	}
}

// TestWhoWaitedForAReply tells of a request before its worker is known to have done anything else: it names a span that there will be.
func TestWhoWaitedForAReply(t *testing.T) {
	s := askedWorker().woken(3, 2).exits(3)
	for _, e := range s.events {
		e.BufferSize = 3
	}
	tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
	var waker Ref
	for _, g := range handle(tr, s.events...) {
		for _, i := range g.Intervals {
			if i.State == Waiting {
				waker = i.Waker
			}
		}
	}
	s.events = nil
	for _, g := range handle(tr, s.later(job).woken(4, 2).waits(2, receiving, ownPC).events...) {
		if g.GoID == 2 && g.ref() == waker {
			return
		}
	}
	t.Errorf("nothing is told of %+v, which has ended a wait", waker)
}

// TestManyReplies has a worker send one answer after the other to a request, without an end: what is kept of it is bounded.
func TestManyReplies(t *testing.T) {
	s := askedWorker()
	for range 10 * leastFold {
		s.woken(3, 2).waits(3, selecting, 0).yields(2, 1)
	}
	tr := NewTracker(Limits{Intervals: 100, ShortestInterval: time.Second, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
	for _, e := range s.events {
		e.BufferSize = 3
		tr.Handle(e)
		if g := tr.Get(2); g != nil && len(g.Intervals) > 3*leastFold {
			t.Fatalf("%d intervals are kept", len(g.Intervals))
		}
	}
}

// TestItemsAfterReplies has a worker put an item into the buffer of a channel after a reply: it was sent for another job than the one that was replied to.
func TestItemsAfterReplies(t *testing.T) {
	s := newScript()
	tr := following(s)
	s.start(3, 1, requestPC).start(6, 1, libraryPC+1).waits(6, signalled, ownPC).woken(6, 3).by(semaphore).waits(3, receiving, nestedPC).woken(3, 6).
		later(job).item(Sent, 6, workChannel, 1).by(workChannel).woken(2, 6).item(Received, 2, workChannel, 1).waits(2, receiving, ownPC).
		waits(6, signalled, ownPC)
	for _, e := range s.events {
		e.BufferSize = 3
	}
	want := []string{"6.1 in 3.0 of 3.0 assumed", "2.1 in 6.2 of 6.2 exact", "6.2 in 6.2 unknown"}
	if diff := cmp.Diff(want, told(handle(tr, s.events...))); diff != "" {
		t.Error(diff)
	}
}

// TestRoomForReplies has a worker do a job for a request whose trace has little room left: what is told of it is as much less.
func TestRoomForReplies(t *testing.T) {
	s := askedWorker().waits(2, locking, 0).woken(2, 0).waits(2, locking, 0).woken(2, 0).woken(3, 2).later(job).waits(2, locking, 0).woken(2, 0).woken(4, 2).waits(2, receiving, ownPC)
	for _, e := range s.events {
		e.BufferSize = 3
	}
	tr := NewTracker(Limits{Intervals: 100, TreeIntervals: 1000, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
	spans := map[Tree]int{}
	for _, g := range handle(tr, s.events...) {
		spans[g.Tree] += 1 + len(g.Intervals)
	}
	for _, of := range []uint64{3, 4} {
		g := tr.Get(of)
		if left := g.budget.left + spans[g.Tree] + 1 + len(g.Intervals); left != 1000 {
			t.Errorf("request %d has room for %d spans, want 1000", of, left)
		}
	}
}

// TestIntervalsBeforeReplies asks in which span intervals will be before it is known whose work they are.
func TestIntervalsBeforeReplies(t *testing.T) {
	s := askedWorker().waits(2, locking, 0).woken(2, 0)
	for _, e := range s.events {
		e.BufferSize = 3
	}
	tr := NewTracker(episodeLimits, fakePlaces{}, NewHomes())
	handle(tr, s.events...)
	g := tr.Get(2)
	if got := g.Lasting(g.Intervals[0].Start); got != g.lifeRef() {
		t.Errorf("it is %+v, which it may not be", got)
	}
	s.events = nil
	handle(tr, s.start(6, 2, otherPC).events...)
	if got := g.Lasting(g.Intervals[0].Start); got != g.ref() {
		t.Errorf("it is %+v, although there are goroutines below the piece of work", got)
	}
}
