package lifecycle

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCarriers has a connection's reader and writer work for requests, and for the connection alone.
func TestCarriers(t *testing.T) {
	const reader, writer, request, other = 2, 3, 4, 5
	transport := func() *script {
		return newScript().start(1, 0, mainPC).start(reader, 1, carrierPC).waits(reader, reading, ownPC).start(writer, 1, carrierPC).
			waits(writer, receiving, ownPC)
	}
	for name, c := range map[string]struct {
		script *script
		direct bool // the channel has no buffer
		want   []string
	}{
		"a frame that nobody waits for": {
			script: transport().woken(reader, 0).waits(reader, reading, ownPC),
		},
		"a frame that the writer answers": {
			script: transport().woken(reader, 0).woken(writer, reader).waits(reader, reading, ownPC).waits(writer, receiving, ownPC),
			direct: true,
		},
		"a frame that the writer answers, through a buffer": {
			script: transport().woken(reader, 0).woken(writer, reader).waits(reader, reading, ownPC).waits(writer, receiving, ownPC),
		},
		"a request with its body": {
			script: transport().woken(reader, 0).start(request, reader, requestPC).waits(request, receiving, nestedPC).woken(request, reader).
				waits(reader, reading, ownPC).exits(request),
			want: []string{"4.0 in 4.0 after 2.0"},
		},
		"the body of a request": {
			script: transport().start(request, 1, requestPC).waits(request, receiving, nestedPC).woken(reader, 0).woken(request, reader).
				woken(writer, reader).waits(reader, reading, ownPC).exits(request),
			want: []string{"2.1 in 4.0 of 4.0 exact", "4.0 in 4.0 after 1.0"},
		},
		"what two requests have waited for": {
			script: transport().start(request, 1, requestPC).waits(request, receiving, nestedPC).start(other, 1, requestPC).waits(other, receiving, nestedPC).
				woken(reader, 0).woken(request, reader).woken(other, reader).waits(reader, reading, ownPC),
			want: []string{"2.1 in 2.1 exact"},
		},
		"an answer": {
			script: transport().start(request, 1, requestPC).woken(writer, request).waits(writer, receiving, ownPC).exits(request),
			direct: true,
			want:   []string{"3.1 in 4.0 of 4.0 exact", "4.0 in 4.0 after 1.0"},
		},
		"an answer that may be another's": {
			script: transport().start(request, 1, requestPC).woken(writer, request).waits(writer, receiving, ownPC).exits(request),
			want:   []string{"4.0 in 4.0 after 1.0"},
		},
		"the end of the connection": {
			script: transport().woken(reader, 0).exits(reader),
			want:   []string{"2.0 life of 1 in 1.0 of 1.0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			limits := episodeLimits
			limits.Hide = true
			if diff := cmp.Diff(c.want, playWithin(limits, c.script, fakePlaces{}, c.direct)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCarriersAreCounted has the life of a connection's reader tell of all that it has read, and if nothing is hidden each of its pieces too.
func TestCarriersAreCounted(t *testing.T) {
	const reader = 2
	for name, c := range map[string]struct {
		hide bool
		want []string
	}{
		"hidden": {true, []string{"2.0 life of 2 in 1.0 of 1.0"}},
		"kept":   {false, []string{"2.1 in 2.1 exact", "2.2 in 2.2 exact", "2.0 life of 2 in 1.0 of 1.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript().start(1, 0, mainPC).start(reader, 1, carrierPC).waits(reader, reading, ownPC)
			for range 2 {
				s.woken(reader, 0).waits(reader, reading, ownPC)
			}
			limits := episodeLimits
			limits.Hide = c.hide
			tr := NewTracker(limits, fakePlaces{}, NewHomes())
			all := append(handle(tr, s.events...), tr.Interrupt(s.now, Unfollowed)...)
			all = slices.DeleteFunc(all, func(g *Goroutine) bool { return g.GoID != reader })
			if diff := cmp.Diff(c.want, told(all)); diff != "" {
				t.Fatal(diff)
			}
			if ran := all[len(all)-1].Totals[Running].Count; ran != 3 {
				t.Errorf("its life tells that it ran %d times, want 3", ran)
			}
		})
	}
}

// TestWhoIsWokenByCarriers has a request that is woken by a reader that then has nothing to tell of: no link leads there.
func TestWhoIsWokenByCarriers(t *testing.T) {
	const reader, request = 2, 4
	s := newScript().start(1, 0, mainPC).start(reader, 1, carrierPC).waits(reader, reading, ownPC).woken(reader, 0).start(request, reader, requestPC).
		waits(request, receiving, nestedPC).later(5000).woken(request, reader).waits(reader, reading, ownPC).exits(request)
	limits := episodeLimits
	limits.Hide = true
	all := handle(NewTracker(limits, fakePlaces{}, NewHomes()), s.events...)
	if len(all) != 1 {
		t.Fatalf("%v is told", told(all))
	}
	i := slices.IndexFunc(all[0].Intervals, func(i Interval) bool { return i.State == Waiting })
	if i < 0 {
		t.Fatal("its wait is not told of")
	}
	if got, want := all[0].Intervals[i].Waker, (Ref{GoID: reader, StartPC: carrierPC}); got != want {
		t.Errorf("it was woken by %+v, want %+v", got, want)
	}
}

// TestWakersThatVanish has a reader create a request and wake it, and be for nothing else: it has no span, so that no link may lead to it, although the
// request is told of before the reader is at home.
func TestWakersThatVanish(t *testing.T) {
	const reader, request = 2, 4
	s := newScript().start(1, 0, mainPC).start(reader, 1, carrierPC).waits(reader, reading, ownPC).woken(reader, 0).start(request, reader, requestPC).
		waits(request, receiving, nestedPC).later(5000).woken(request, reader).exits(request).waits(reader, reading, ownPC)
	limits := episodeLimits
	limits.Hide = true
	all := handle(NewTracker(limits, fakePlaces{}, NewHomes()), s.events...)
	if len(all) != 1 {
		t.Fatalf("%v is told", told(all))
	}
	for _, i := range all[0].Intervals {
		if i.Waker.Followed() {
			t.Errorf("its %s has a link to %+v", i.State, i.Waker)
		}
	}
}
