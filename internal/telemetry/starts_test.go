//go:build linux

package telemetry

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

type lives = map[string]lifecycle.Lives

func sumOf(all lives) (sum lifecycle.Lives) {
	for _, l := range all {
		sum.Created += l.Created
		sum.Exited += l.Exited
	}
	return sum
}

func TestStarts(t *testing.T) {
	var s starts
	for _, step := range []struct {
		name  string
		now   lives
		total lifecycle.Lives
		want  lives
	}{
		{
			"the top, and one that there was no room for",
			lives{"a": {Created: 5, Exited: 1}},
			lifecycle.Lives{Created: 6, Exited: 2},
			lives{"a": {Created: 5, Exited: 1}, other: {Created: 1, Exited: 1}},
		},
		{
			"a place is free for the more active",
			lives{"a": {Created: 6, Exited: 1}, "b": {Created: 4}, "c": {Created: 9}},
			lifecycle.Lives{Created: 20, Exited: 2},
			lives{"a": {Created: 6, Exited: 1}, "c": {Created: 9}, other: {Created: 5, Exited: 1}},
		},
		{
			"who is hardly more active takes no place",
			lives{"a": {Created: 11, Exited: 1}, "b": {Created: 12}, "c": {Created: 12, Exited: 1}},
			lifecycle.Lives{Created: 36, Exited: 3},
			lives{"a": {Created: 11, Exited: 1}, "c": {Created: 12, Exited: 1}, other: {Created: 13, Exited: 1}},
		},
		{
			"who is far more active does; what was counted with the others stays there, and what a did is told no more",
			lives{"a": {Created: 11, Exited: 1}, "b": {Created: 112, Exited: 2}, "c": {Created: 22, Exited: 1}},
			lifecycle.Lives{Created: 146, Exited: 5},
			lives{"b": {Created: 100}, "c": {Created: 22, Exited: 1}, other: {Created: 13, Exited: 3}},
		},
		{
			"those that the others have created exit there first",
			lives{"a": {Created: 11, Exited: 1}, "b": {Created: 112, Exited: 20}, "c": {Created: 22, Exited: 1}},
			lifecycle.Lives{Created: 146, Exited: 23},
			lives{"b": {Created: 100, Exited: 8}, "c": {Created: 22, Exited: 1}, other: {Created: 13, Exited: 13}},
		},
	} {
		if diff := cmp.Diff(step.want, s.divide(step.now, step.total, 2)); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

// What comes back goes on where it was.
func TestStartsOfWhoComesBack(t *testing.T) {
	var s starts
	a := lives{"a": {Created: 10, Exited: 10}}
	s.divide(a, sumOf(a), 1)
	b := lives{"a": a["a"], "b": {Created: 100, Exited: 100}}
	if got := s.divide(b, sumOf(b), 1); got["b"].Created != 100 || got[other].Created != 0 {
		t.Fatalf("b is %v", got)
	}
	again := lives{"a": {Created: 1000, Exited: 1000}, "b": b["b"]}
	got := s.divide(again, sumOf(again), 1)
	if want := (lives{"a": {Created: 1000, Exited: 1000}, other: {}}); !cmp.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Whatever functions do, no count goes back, none has fewer goroutines than none, and what is told apart is right as long as all have places.
func TestStartsNeverLie(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for run := range 50 {
		var s starts
		now, before := lives{}, lives{}
		for range 100 {
			for range random.IntN(5) {
				name := fmt.Sprint(random.IntN(12))
				l := now[name]
				l.Created += uint64(random.IntN(1 + random.IntN(200)))
				l.Exited += uint64(random.IntN(int(l.Created-l.Exited) + 1))
				now[name] = l
			}
			got := s.divide(now, sumOf(now), 4)
			if len(got) > 5 {
				t.Fatalf("run %d: %d functions are told apart", run, len(got)-1)
			}
			for name, l := range got {
				if l.Exited > l.Created {
					t.Fatalf("run %d: of %q, %d were created and %d have exited", run, name, l.Created, l.Exited)
				}
				if was := before[name]; l.Created < was.Created || l.Exited < was.Exited {
					t.Fatalf("run %d: %q goes back from %v to %v", run, name, was, l)
				}
				before[name] = l
			}
			if told, all := sumOf(got), sumOf(now); told.Created > all.Created {
				t.Fatalf("run %d: %d were told, %d created", run, told.Created, all.Created)
			}
		}
	}
}
