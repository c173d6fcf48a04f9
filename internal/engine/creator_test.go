package engine

import (
	"slices"
	"testing"
)

func TestCreatorStack(t *testing.T) {
	for _, c := range []struct{ stack, want []uint64 }{
		{[]uint64{7, 9, 5, 3}, []uint64{5, 3}},
		{[]uint64{5}, []uint64{5}},
		{[]uint64{7, 9, 3}, nil},
		{nil, nil},
	} {
		if got := CreatorStack(c.stack, 5); !slices.Equal(got, c.want) {
			t.Errorf("of %v: %v, want %v", c.stack, got, c.want)
		}
	}
}
