package follow

import "testing"

func TestAllowance(t *testing.T) {
	const second = 1e9
	a := newAllowance(100, 5*second)
	for i, step := range []struct {
		spend int
		at    int64
		left  bool
	}{
		{0, 5 * second, true},
		{99, 5 * second, true},
		{1, 5 * second, false},
		{0, 5*second + second/100, true},
		{101, 5*second + second/100, false}, // in debt for 100
		{0, 6 * second, false},
		{0, 7 * second, true},
		{0, 60 * second, true},
		{100, 60 * second, false}, // no more than a second's worth is saved
	} {
		a.spend(step.spend)
		if got := a.left(step.at); got != step.left {
			t.Errorf("step %d: left is %v with %v tokens", i, got, a.tokens)
		}
	}
}
