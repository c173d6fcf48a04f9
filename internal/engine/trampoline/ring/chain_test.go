//go:build linux

package ring

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// allStatuses takes none for another.
func allStatuses() (normal [16]uint8) {
	for i := range normal {
		normal[i] = uint8(i)
	}
	return normal
}

// runtimeStatuses takes preempted (9) and leaked (10) for waiting (4), deadextra (11) for dead (6).
func runtimeStatuses() [16]uint8 {
	normal := allStatuses()
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

var nextStatus = [16]uint8{6: 1, 1: 2, 2: 4, 4: 1}

// TestChainTruth shakes the clocks of many goroutines' changes, and has the Chain find their order.
func TestChainTruth(t *testing.T) {
	const goroutines, changes, between = 20, 1000, 40
	random := rand.New(rand.NewPCG(1, 2))
	var records []Record
	for g := range uint64(goroutines) {
		status, tsc := uint8(6), 1000+random.Uint64N(1000)
		for n := range uint64(changes) {
			next := nextStatus[status]
			tsc += between + random.Uint64N(100)
			early := random.Uint64N(2 * between) // less than what two changes take: at most the next is seen first
			if n == 0 {
				early = 2 * between // where a Chain begins it knows nothing
			}
			records = append(records, Record{TSC: tsc - early, G: 512 * (g + 1), GoID: n, Old: status, New: next, Stack: []uint64{g, n}})
			status = next
		}
	}
	slices.SortStableFunc(records, func(a, b Record) int { return int(int64(a.TSC - b.TSC)) })
	c := NewChain(runtimeStatuses(), 1000)
	next, clock := map[uint64]uint64{}, map[uint64]uint64{}
	for i := range records {
		c.Add(&records[i], func(r *Record) {
			if r.GoID != next[r.G] || r.TSC < clock[r.G] || r.Stack[1] != r.GoID {
				t.Fatalf("%+v after %d at %d", r, next[r.G], clock[r.G])
			}
			next[r.G], clock[r.G] = r.GoID+1, r.TSC
		})
	}
	if len(next) != goroutines || c.Inversions < 100 || c.Misfits != 0 || c.held != 0 {
		t.Errorf("%d goroutines, %d inversions, %d misfits, %d held", len(next), c.Inversions, c.Misfits, c.held)
	}
}

// TestChainBounds has goroutines without end, and records that never fit.
func TestChainBounds(t *testing.T) {
	c := NewChain(runtimeStatuses(), 100)
	c.gs.most = 1 << 12
	in, out := 0, 0
	add := func(r Record) {
		in++
		c.Add(&r, func(*Record) { out++ })
	}
	for i := range uint64(3 * c.gs.most) {
		add(Record{G: i, Old: 1, New: 2})
		if i%64 == 0 {
			add(Record{G: i, Old: 1, New: 2})
		}
	}
	c.Flush(101, func(*Record) { out++ })
	if in != out || len(c.gs.entries) > 2*c.gs.most || c.held > 0 {
		t.Errorf("%d in, %d out, %d entries, %d held", in, out, len(c.gs.entries), c.held)
	}
}

// TestChainUncertain forgets what it knew when changes may be missing.
func TestChainUncertain(t *testing.T) {
	c := NewChain(runtimeStatuses(), 100)
	var got []uint64
	emit := func(r *Record) { got = append(got, r.TSC) }
	c.Add(&Record{TSC: 1, G: 1, Old: 1, New: 2}, emit)
	c.Add(&Record{TSC: 2, G: 1, Old: 1, New: 2}, emit) // held
	c.Add(&Record{TSC: 3, G: 2, Old: 1, New: 2, Uncertain: true}, emit)
	c.Add(&Record{TSC: 4, G: 1, Old: 4, New: 1}, emit)
	c.Add(&Record{TSC: 5, G: 2, Old: 4, New: 1}, emit)
	if !slices.Equal(got, []uint64{1, 2, 3, 4, 5}) {
		t.Error(got)
	}
}
