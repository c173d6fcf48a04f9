package lifecycle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// item tells what becomes of an item of a channel.
func (s *script) item(kind Kind, g, channel, number uint64) *script {
	s.events = append(s.events, &Event{Kind: kind, Time: s.now, G: g, GoID: g, Channel: channel, BufferSize: 3, Item: number})
	s.now += 1000
	return s
}

// missed tells that items of a channel were missed until now, or of any if that is 0.
func (s *script) missed(channel uint64) *script {
	s.events = append(s.events, &Event{Kind: Missed, Time: s.now, Since: s.now, Channel: channel})
	s.now += 1000
	return s
}

// learn tells of the channels that a goroutine waits for, of which a tracker asks just now.
func learn(tr *Tracker, g *Goroutine, channels ...Hchan) {
	tr.Learn(Asked{G: g.G, GoID: g.GoID, Channels: channels, changes: g.inlet.changes})
}

// TestItems has a worker find what others have put into the buffer of the channel for which it waits at home.
func TestItems(t *testing.T) {
	for name, c := range map[string]struct {
		script func() *script
		want   []string
	}{
		"each is a part of what it was sent for": {
			func() *script {
				return busyWorker().item(Sent, 4, workChannel, 1).item(Received, 2, workChannel, 1).waits(2, receiving, ownPC)
			},
			[]string{"2.1 in 3.0 of 3.0 exact", "2.2 in 4.0 of 4.0 exact"},
		},
		"the sender has exited meanwhile": {
			func() *script {
				return busyWorker().item(Sent, 4, workChannel, 1).exits(4).item(Received, 2, workChannel, 1).waits(2, receiving, ownPC)
			},
			[]string{"4.0 in 4.0 after 1.0", "2.1 in 3.0 of 3.0 exact", "2.2 in 4.0 of 4.0 exact"},
		},
		"who has sent it is not known": {
			func() *script { return busyWorker().item(Received, 2, workChannel, 0).waits(2, receiving, ownPC) },
			[]string{"2.1 in 3.0 of 3.0 exact", "2.2 in 2.2 unknown"},
		},
		"who has sent it is not followed": {
			func() *script {
				return busyWorker().item(Sent, 99, workChannel, 1).item(Received, 2, workChannel, 1).waits(2, receiving, ownPC)
			},
			[]string{"2.1 in 3.0 of 3.0 exact", "2.2 in 2.2 unknown"},
		},
		"a reader has sent it, and started a request": {
			func() *script {
				return busyWorker().start(6, 1, otherPC).waits(6, reading, ownPC).woken(6, 0).item(Sent, 6, workChannel, 1).start(8, 6, requestPC).exits(8).
					waits(6, reading, ownPC).item(Received, 2, workChannel, 1).waits(2, receiving, ownPC)
			},
			[]string{"8.0 in 8.0 after 6.0", "6.1 in 6.1 exact", "2.1 in 3.0 of 3.0 exact", "2.2 in 6.1 of 6.1 exact"},
		},
		"it is of another channel": {
			func() *script {
				return busyWorker().item(Sent, 4, semaphore, 1).item(Received, 2, semaphore, 1).waits(2, receiving, ownPC)
			},
			[]string{"2.1 in 3.0 of 3.0 exact"},
		},
		"some were missed meanwhile": {
			func() *script {
				return busyWorker().item(Sent, 4, workChannel, 1).item(Received, 2, workChannel, 1).missed(0).waits(2, receiving, ownPC).
					item(Sent, 4, workChannel, 2).woken(2, 3).item(Received, 2, workChannel, 2).missed(workChannel).waits(2, receiving, ownPC)
			},
			[]string{"2.1 in 3.0 of 3.0 exact", "2.2 in 4.0 of 4.0 unknown", "2.3 in 3.0 of 3.0 exact", "2.4 in 4.0 of 4.0 unknown"},
		},
		"some of another channel were missed": {
			func() *script { return busyWorker().missed(semaphore).waits(2, receiving, ownPC) },
			[]string{"2.1 in 3.0 of 3.0 exact"},
		},
		"another waits to send meanwhile": {
			func() *script {
				return busyWorker().item(Sent, 4, workChannel, 1).start(5, 1, requestPC).waits(5, sending, 0).item(Received, 2, workChannel, 1).
					item(Sent, 5, workChannel, 2).woken(5, 2).waits(2, receiving, ownPC)
			},
			[]string{"2.1 in 3.0 of 3.0 exact", "2.2 in 4.0 of 4.0 exact"},
		},
		"what begins before items are told of is not known": {
			func() *script {
				return busyWorker().waits(2, receiving, ownPC).later(1).woken(2, 4).waits(2, receiving, ownPC)
			},
			[]string{"2.1 in 3.0 of 3.0 exact", "2.2 in 4.0 of 4.0 exact"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, playTold(c.script(), 0)); diff != "" {
				t.Error(diff)
			}
		})
	}
	early := playTold(busyWorker().waits(2, receiving, ownPC), 1<<62)
	if diff := cmp.Diff([]string{"2.1 in 2.1 after 3.0 unknown"}, early); diff != "" {
		t.Error(diff)
	}
}

// TestQueued has items lie in the buffer of a channel until a worker takes them.
func TestQueued(t *testing.T) {
	s := busyWorker().item(Sent, 4, workChannel, 1).item(Sent, 4, workChannel, 2).item(Received, 2, workChannel, 1).waits(2, receiving, ownPC)
	tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
	var queued []int64
	for _, e := range s.woken(2, 4).waits(2, receiving, ownPC).events {
		if e.Channel == workChannel {
			e.BufferSize = 3
		}
		if g := tr.Get(e.G); g != nil && g.idle {
			learn(tr, g, Hchan{Address: workChannel, Size: 3, Since: 1})
		}
		for _, g := range tr.Handle(e) {
			queued = append(queued, g.Queued)
		}
	}
	if diff := cmp.Diff([]int64{0, 2000, 0}, queued); diff != "" { // it was woken with the first, took the second, and was woken with the third
		t.Error(diff)
	}
}

// TestTakenIsLinked has a reader offer something to a worker that is busy, and then do what leaves the reader without a span, or makes it a part of
// another trace, if it has done nothing else: the link of the worker's piece of work leads to one that is told of.
func TestTakenIsLinked(t *testing.T) {
	for name, then := range map[string]func(*script) *script{
		"it starts a request": func(s *script) *script { return s.start(8, 6, requestPC).exits(8) },
		"it brings an answer": func(s *script) *script { return s.woken(7, 6) },
	} {
		t.Run(name, func(t *testing.T) {
			s := busyWorker().start(6, 1, otherPC).waits(6, reading, ownPC).start(7, 1, requestPC).waits(7, receiving, nestedPC).woken(6, 0).waits(6, sending, 0).woken(6, 2)
			tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
			are, linked := map[Ref]bool{}, Ref{}
			for _, e := range then(s).waits(6, reading, ownPC).waits(2, receiving, ownPC).exits(7).events {
				if e.Channel != 0 {
					e.BufferSize = 3
				}
				for _, g := range tr.Handle(e) {
					are[Ref{g.GoID, g.StartPC, g.Segment, g.Tree}] = true
					if g.GoID == 2 && g.Follows {
						linked = g.Parent
					}
				}
			}
			if linked.GoID != 6 || !are[linked] {
				t.Errorf("the link leads to %+v, of what is told: %v", linked, are)
			}
		})
	}
}

// playTold handles the events of a script in which a channel has a buffer, of which items are told from a moment on. It checks that they are as long
// as a worker lives that waits for them.
func playTold(s *script, since int64) (got []string) {
	tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
	for _, e := range s.events {
		if e.Channel == workChannel {
			e.BufferSize = 3
		}
		if g := tr.Get(e.G); g != nil && g.idle {
			learn(tr, g, Hchan{Address: workChannel, Size: 3, Since: max(since, 1)})
		}
		got = append(got, told(tr.Handle(e))...)
		if unused := tr.Unused(); len(unused) != 0 {
			got = append(got, "unused")
		}
	}
	return got
}

// TestUnusedChannels has the last worker exit that waits for a channel whose items are told of.
func TestUnusedChannels(t *testing.T) {
	s := newScript().start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC)
	tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
	handle(tr, s.events...)
	learn(tr, tr.Get(2), Hchan{Address: workChannel, Size: 3, Since: 1}, Hchan{Address: semaphore, Size: 1})
	if unused := tr.Unused(); unused != nil {
		t.Errorf("%v are not used", unused)
	}
	events := len(s.events)
	s.exits(2)
	handle(tr, s.events[events:]...)
	if diff := cmp.Diff([]uint64{workChannel}, tr.Unused()); diff != "" {
		t.Error(diff)
	}
	if unused := tr.Unused(); unused != nil {
		t.Errorf("%v are told twice", unused)
	}
}

// following returns a tracker with a worker that waits at home for a channel whose items are told of from a moment on.
func following(s *script) *Tracker {
	tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
	handle(tr, s.start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).events...)
	s.events = nil
	tr.Asked()
	learn(tr, tr.Get(2), Hchan{Address: workChannel, Size: 3, Since: 1})
	return tr
}

// TestItemsAreToldLate has a worker take an item of which nobody tells until it has waited elsewhere.
func TestItemsAreToldLate(t *testing.T) {
	s := newScript()
	tr := following(s)
	s.start(3, 1, requestPC).woken(2, 3)
	late := &Event{Kind: Received, Time: s.now, G: 2, GoID: 2, Channel: workChannel, BufferSize: 3}
	s.later(1000).waits(2, locking, 0).woken(2, 3).events = append(s.events, late)
	for _, g := range handle(tr, s.waits(2, receiving, ownPC).events...) {
		for _, i := range g.Intervals {
			if i.Start < g.Start || i.End > g.End {
				t.Errorf("%d.%d from %d to %d has an interval from %d to %d", g.GoID, g.Segment, g.Start, g.End, i.Start, i.End)
			}
		}
	}
}

// TestItemsAreToldNoMore has an engine follow a channel no longer: it is asked again.
func TestItemsAreToldNoMore(t *testing.T) {
	s := newScript()
	tr := following(s)
	s.events = append(s.events, &Event{Kind: Missed, Time: s.now, Channel: workChannel})
	handle(tr, s.events...)
	if tr.Get(2).isDirect(s.now) {
		t.Error("all is taken to be seen")
	}
	s.events = nil
	handle(tr, s.woken(2, 0).waits(2, receiving, ownPC).events...)
	if asked := tr.Asked(); len(asked) != 1 || asked[0].G != 2 {
		t.Errorf("asked about %v", asked)
	}
}

// TestAnswersThatAreOld has more become known of a goroutine before it is told for which channels it waited.
func TestAnswersThatAreOld(t *testing.T) {
	for name, meanwhile := range map[string]func(s *script){
		"another channel has woken it": func(s *script) { s.by(semaphore).woken(2, 1) },
		"it waits elsewhere": func(s *script) {
			for range 4 {
				s.woken(2, 0).waits(2, receiving, bodyPC)
			}
		},
		"items were missed": func(s *script) { s.missed(0) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			tr := NewTracker(Limits{Intervals: 100, Segment: 1 << 62, Outlives: time.Second}, fakePlaces{}, NewHomes())
			handle(tr, s.start(1, 0, mainPC).start(2, 1, otherPC).waits(2, receiving, ownPC).events...)
			asked := tr.Asked()
			if len(asked) != 1 {
				t.Fatalf("asked about %v", asked)
			}
			asked[0].Channels = []Hchan{{Address: workChannel, Size: 3, Since: 1}}
			s.events = nil
			meanwhile(s)
			handle(tr, s.events...)
			if tr.Learn(asked[0]); tr.Get(2).inlet.learnt {
				t.Error("the answer is believed")
			}
		})
	}
}
