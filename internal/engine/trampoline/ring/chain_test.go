//go:build linux

package ring

import (
	"slices"
	"testing"
)

// runtimeStatuses takes preempted (9) and leaked (10) for waiting (4), deadextra (11) for dead (6).
func runtimeStatuses() (normal [16]uint8) {
	for i := range normal {
		normal[i] = uint8(i)
	}
	normal[9], normal[10], normal[11] = 4, 4, 6
	return normal
}

func TestChain(t *testing.T) {
	const g, other = 0x1000, 0x2000
	type in struct {
		tsc, g   uint64
		old, new uint8
	}
	tests := map[string]struct {
		in                  []in
		want                []uint64 // the clocks that are emitted, as GoID tells
		inversions, misfits uint64
	}{
		"in order":  {in: []in{{1, g, 4, 1}, {2, g, 1, 2}, {3, g, 2, 4}}, want: []uint64{1, 2, 3}},
		"variants":  {in: []in{{1, g, 2, 9}, {2, g, 4, 1}, {3, g, 1, 6}, {4, g, 11, 1}}, want: []uint64{1, 2, 3, 4}},
		"two":       {in: []in{{1, g, 1, 2}, {2, g, 4, 1}, {3, g, 2, 4}}, want: []uint64{1, 3, 2}, inversions: 1},
		"three":     {in: []in{{1, g, 1, 2}, {2, g, 1, 2}, {3, g, 4, 1}, {4, g, 2, 4}}, want: []uint64{1, 4, 3, 2}, inversions: 2},
		"others go": {in: []in{{1, g, 1, 2}, {2, g, 4, 1}, {3, other, 1, 2}, {4, g, 2, 4}}, want: []uint64{1, 3, 4, 2}, inversions: 1},
		"never":     {in: []in{{1, g, 1, 2}, {2, g, 4, 1}, {3, g, 1, 2}, {200, other, 1, 2}, {201, g, 2, 4}}, want: []uint64{1, 2, 3, 200, 201}, misfits: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := NewChain(runtimeStatuses(), 100)
			var got []uint64
			last := map[uint64]uint64{}
			emit := func(r *Record) {
				got = append(got, r.GoID)
				if r.TSC < last[r.G] {
					t.Errorf("clock of %#x goes from %d to %d", r.G, last[r.G], r.TSC)
				}
				last[r.G] = r.TSC
			}
			for _, x := range test.in {
				c.Add(&Record{TSC: x.tsc, GoID: x.tsc, G: x.g, Old: x.old, New: x.new}, emit)
			}
			c.Flush(1000, emit)
			if !slices.Equal(got, test.want) || c.Inversions != test.inversions || c.Misfits != test.misfits {
				t.Errorf("%v, %d inversions, %d misfits; want %v, %d, %d", got, c.Inversions, c.Misfits, test.want, test.inversions, test.misfits)
			}
		})
	}
}
