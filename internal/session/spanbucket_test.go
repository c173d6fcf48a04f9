//go:build linux

package session

import "testing"

func TestSpanBucket(t *testing.T) {
	const second = 1e9
	b := newSpanBucket(100, 5*second)
	for i, step := range []struct {
		spend int
		at    int64
		left  int
	}{
		{0, 5 * second, 100},
		{99, 5 * second, 1},
		{1, 5 * second, 0},
		{0, 5*second + second/100, 1},
		{101, 5*second + second/100, 0}, // in debt for 100
		{0, 6 * second, 0},
		{0, 7 * second, 99},
		{0, 60 * second, 100}, // no more than a second's worth is saved
		{100, 60 * second, 0},
	} {
		b.spend(step.spend)
		if got := b.left(step.at); got != step.left {
			t.Errorf("step %d: %d are left with %v tokens, want %d", i, got, b.tokens, step.left)
		}
		if got := b.forSegments(step.at); got != step.left/4 {
			t.Errorf("step %d: %d are left for segments", i, got)
		}
	}
	if none := newSpanBucket(0, 0); none.forSegments(second) != segmentsAtOnce {
		t.Error("without a limit, segments have one that depends on the budget")
	}
}
