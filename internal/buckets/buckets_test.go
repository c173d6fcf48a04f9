package buckets

import (
	"math"
	"math/rand/v2"
	"testing"
)

// index is the data model's mapping by the logarithm, right except within rounding of a bound.
func index(ns uint64) int {
	return int(math.Ceil(math.Log2(float64(ns)/1e9)*(1<<Scale))) - 1
}

func TestBoundsAreTheDataModels(t *testing.T) {
	bounds := Bounds()
	for b := 0; b < 400; b++ {
		want := math.Exp2(float64(First+b+1)/8) * 1e9
		if got := float64(bounds[b]); got > want*(1+1e-12) || got < want*(1-1e-12)-1 {
			t.Errorf("bucket %d: bound %v ns, want %v", First+b, bounds[b], want)
		}
	}
	if bounds[0] != 1 {
		t.Errorf("the first bucket ends at %d ns, want 1", bounds[0])
	}
	if bounds[-First-1] != 1e9 {
		t.Errorf("bucket -1 ends at %d ns, want exactly a second", bounds[-First-1])
	}
}

func TestOfAgreesWithTheLogarithm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1_000_000 {
		ns := uint64(math.Exp(r.Float64()*math.Log(1e15))) + 1
		got := Of(ns) + First
		if want := index(ns); got != want {
			bound := math.Exp2(float64(max(got, want))/8) * 1e9
			if math.Abs(bound-float64(ns)) > bound*1e-12 {
				t.Fatalf("Of(%d) is bucket %d, want %d", ns, got, want)
			}
		}
	}
}

// The kernel takes two steps from a guess at the most.
func TestGuessIsAtMostTwoBucketsLow(t *testing.T) {
	guesses, bounds := Guesses(), Bounds()
	for part := range Parts - 8*16 {
		octave, eighth := part/8, uint64(part%8)
		longest := uint64(1)<<octave + (eighth+1)<<octave>>3 - 1
		if octave < 3 {
			longest = uint64(1)<<octave + eighth<<octave>>3
		}
		if b := int(guesses[part]) + 2; longest > bounds[b] {
			t.Errorf("part %d: %d ns is beyond bucket %d", part, longest, b)
		}
	}
}

func TestOfZero(t *testing.T) {
	if got := Of(0); got != 0 {
		t.Errorf("Of(0) = %d, want the first bucket", got)
	}
}
