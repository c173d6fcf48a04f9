// Package buckets maps durations to the buckets of an OpenTelemetry exponential histogram of scale 3 in seconds, in integers
// only, as the kernel does it. The OpenTelemetry data model defines the mapping: bucket i holds values above 2^(i/8) s and up to
// 2^((i+1)/8) s.
package buckets

import (
	"math/big"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// Scale is the histograms' OpenTelemetry scale.
	Scale = 3
	// Count is the number of buckets in the tables.
	Count = 512
	// First is the OpenTelemetry index of the tables' first bucket, which holds 1 ns and what is shorter.
	First = -240
	// Parts is the number of linear parts that the table of guesses cuts 64 octaves into.
	Parts = 64 * 8
)

// Bounds returns the longest duration, in ns, that each bucket holds.
var Bounds = sync.OnceValue(func() [Count]uint64 {
	var bounds [Count]uint64
	for i := range bounds {
		bounds[i] = bound(First + i)
	}
	return bounds
})

// bound returns floor(10^9 * 2^((index+1)/8)), or the largest integer where that does not fit.
func bound(index int) uint64 {
	const precision = 512
	root := new(big.Float).SetPrec(precision).SetInt64(2)
	for range Scale {
		root.Sqrt(root)
	}
	exponent := index + 1
	octave := exponent >> Scale
	v := new(big.Float).SetPrec(precision).SetInt64(1e9)
	for range exponent - octave<<Scale {
		v.Mul(v, root)
	}
	v.SetMantExp(v, octave)
	n, _ := v.Uint64()
	return n
}

// Guesses returns, for each linear eighth of each octave of ns, the lowest bucket that a duration in it can be in.
var Guesses = sync.OnceValue(func() [Parts]uint16 {
	var guesses [Parts]uint16
	bounds := Bounds()
	for part := range guesses {
		octave, eighth := part/8, uint64(part%8)
		shortest := uint64(1)<<octave + eighth<<octave>>3
		b := 0
		for b < Count-1 && shortest > bounds[b] {
			b++
		}
		guesses[part] = uint16(b)
	}
	return guesses
})

// Of returns the index in the tables of the bucket for a duration in ns; OpenTelemetry's index is First higher.
func Of(ns uint64) int {
	octave := max(bits.Len64(ns), 1) - 1
	part := ns << 3 >> octave & 7
	if octave >= 3 {
		part = ns >> (octave - 3) & 7
	}
	t := made.Load()
	if t == nil {
		t = makeTables()
	}
	b := int(t.guesses[octave*8+int(part)])
	for b < Count-1 && ns > t.bounds[b] {
		b++
	}
	return b
}

// made is what Of looks into once it is there, millions of times a second: a sync.OnceValue takes half of what Of does.
var made atomic.Pointer[lookUp]

// makeTables makes it; if several do so at once, they make the same.
func makeTables() *lookUp {
	t := &lookUp{Guesses(), Bounds()}
	made.Store(t)
	return t
}

type lookUp struct {
	guesses [Parts]uint16
	bounds  [Count]uint64
}
