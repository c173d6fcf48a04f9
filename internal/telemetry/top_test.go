//go:build linux

package telemetry

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

type amounts = map[string]uint64

func total(all amounts) (sum uint64) {
	for _, n := range all {
		sum += n
	}
	return sum
}

func TestShares(t *testing.T) {
	s := shares[string]{compare: cmp.Compare[string]}
	for _, step := range []struct {
		name string
		now  amounts
		sum  uint64
		want amounts
		rest uint64
	}{
		{"there is room for all; more is known than by which share", amounts{"a": 5}, 7, amounts{"a": 5}, 2},
		{"a place is free for the larger", amounts{"a": 6, "b": 4, "c": 9}, 21, amounts{"a": 6, "c": 9}, 6},
		{"who is hardly larger takes no place", amounts{"a": 11, "b": 12, "c": 12}, 37, amounts{"a": 11, "c": 12}, 14},
		{"who is far larger does; what was counted with the others stays there", amounts{"a": 11, "b": 112, "c": 22}, 147, amounts{"b": 100, "c": 22}, 14},
		{"what lost its place is not told again with the others", amounts{"a": 13, "b": 112, "c": 22}, 149, amounts{"b": 100, "c": 22}, 16},
	} {
		placed, rest := s.divide(step.now, step.sum, 2)
		if diff := gocmp.Diff(step.want, placed); diff != "" || rest != step.rest {
			t.Errorf("%s: %s, the rest is %d, want %d", step.name, diff, rest, step.rest)
		}
	}
}

// Whatever shares do, none goes back, nor does the rest, and as long as there is a place for each all are right.
func TestSharesNeverLie(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for run := range 50 {
		few, all := shares[string]{compare: cmp.Compare[string]}, shares[string]{compare: cmp.Compare[string]}
		now, before := amounts{}, amounts{}
		unknown, restBefore := uint64(0), uint64(0)
		for range 100 {
			for range random.IntN(5) {
				now[fmt.Sprint(random.IntN(12))] += uint64(random.IntN(1 + random.IntN(200)))
			}
			unknown += uint64(random.IntN(9))
			sum := total(now) + unknown
			if placed, rest := all.divide(now, sum, 12); rest != unknown || !gocmp.Equal(placed, now) {
				t.Fatalf("run %d: with room for all, they are %v and %d, want %v and %d", run, placed, rest, now, unknown)
			}
			placed, rest := few.divide(now, sum, 4)
			if len(placed) > 4 || total(placed)+rest > sum || rest < restBefore {
				t.Fatalf("run %d: of %d, %v are told apart, and %d after %d", run, sum, placed, rest, restBefore)
			}
			restBefore = rest
			for name, n := range placed {
				if n < before[name] {
					t.Fatalf("run %d: %q goes back from %d to %d", run, name, before[name], n)
				}
				before[name] = n
			}
		}
	}
}
