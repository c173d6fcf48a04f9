package waitstats

import (
	"maps"
	"reflect"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

func TestCount(t *testing.T) {
	var c Count
	for _, r := range []Goroutine{
		{State: lifecycle.Running, Since: 1},
		{State: lifecycle.Waiting, Reason: 3, Since: 10, CreationPC: 7},
		{State: lifecycle.Waiting, Reason: 3, Since: 99, CreationPC: 7},
		{State: lifecycle.Waiting, Reason: 4, Since: 100, CreationPC: 7},
	} {
		c.Add(r, 100)
	}
	if c.Live[lifecycle.Running] != 1 || c.Live[lifecycle.Waiting] != 3 {
		t.Errorf("live are %v", c.Live)
	}
	if want := map[uint8]int64{3: 2, 4: 1}; !maps.Equal(c.Waiting, want) {
		t.Errorf("waiting are %v, want %v", c.Waiting, want)
	}
	if want := map[Site]int64{{3, 7}: 2}; !maps.Equal(c.Blocked, want) {
		t.Errorf("blocked are %v, want %v", c.Blocked, want)
	}
}

func TestFit(t *testing.T) {
	for waiting, want := range map[int64]map[uint8]int64{
		20: {1: 5, 2: 3},
		8:  {1: 5, 2: 3},
		7:  {1: 4, 2: 3},
		2:  {1: 0, 2: 2},
		0:  {1: 0, 2: 0},
	} {
		c := Count{Waiting: map[uint8]int64{1: 5, 2: 3}}
		c.LimitTo(waiting)
		if !maps.Equal(c.Waiting, want) {
			t.Errorf("of %d that wait, they are %v, want %v", waiting, c.Waiting, want)
		}
	}
}

func TestTop(t *testing.T) {
	blocked := map[Site]int64{{1, 10}: 5, {1, 11}: 5, {2, 12}: 9, {1, 13}: 1, {2, 14}: 2}
	top, rest := Top(blocked, 2)
	if want := []Blocked{{Site{2, 12}, 9}, {Site{1, 10}, 5}}; !reflect.DeepEqual(top, want) {
		t.Errorf("the top is %v, want %v", top, want)
	}
	if want := map[uint8]int64{1: 6, 2: 2}; !maps.Equal(rest, want) {
		t.Errorf("the rest is %v, want %v", rest, want)
	}
	if top, rest = Top(blocked, 10); len(top) != 5 || len(rest) != 0 {
		t.Errorf("of all, the top is %v and the rest %v", top, rest)
	}
}

func TestWatch(t *testing.T) {
	var w Watch
	a, b := Site{1, 10}, Site{1, 11}
	for i, step := range []struct {
		now  map[Site]int64
		want Changes
	}{
		{nil, Changes{}},
		{map[Site]int64{a: 1}, Changes{Began: []Blocked{{a, 1}}}},
		{map[Site]int64{a: 7, b: 2}, Changes{Began: []Blocked{{b, 2}}}},
		{map[Site]int64{b: 2}, Changes{Cleared: []Site{a}}},
		{nil, Changes{Cleared: []Site{b}}},
	} {
		if got := w.Update(step.now); !reflect.DeepEqual(got, step.want) {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestHistory(t *testing.T) {
	var h History
	look := func(now int64, r Goroutine, known int64) int64 {
		h.Begin()
		h.Date(&r, known, now)
		h.End()
		return r.Since
	}
	waits := Goroutine{G: 1, GoID: 5, State: lifecycle.Waiting, Reason: 2}
	runs := waits
	runs.State = lifecycle.Running
	otherReason, other := waits, waits
	otherReason.Reason, other.GoID = 3, 6
	for i, step := range []struct {
		r           Goroutine
		known, want int64
	}{
		{waits, 0, 0}, {waits, 0, 0}, {runs, 0, 2}, {waits, 0, 3}, {waits, 0, 3}, {otherReason, 0, 5}, {other, 0, 6}, {other, 4, 4}, {other, 0, 4},
	} {
		if got := look(int64(i), step.r, step.known); got != step.want {
			t.Errorf("at %d it has been so since %d, want %d", i, got, step.want)
		}
	}
}
