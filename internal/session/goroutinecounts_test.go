//go:build linux

package session

import (
	"testing"
	"time"
)

func TestCountsCache(t *testing.T) {
	now, took := int64(0), time.Millisecond
	var begun []func()
	cache := countsCache{
		count: func() goroutineCounts { now++; return goroutineCounts{at: now, took: took} },
		start: func(run func()) { begun = append(begun, run) },
	}
	expect := func(at int64, background int) {
		t.Helper()
		if got := cache.get(); got.at != at || len(begun) != background {
			t.Fatalf("the counts are number %d, and %d were begun in the background; want %d and %d", got.at, len(begun), at, background)
		}
	}
	expect(1, 0)
	expect(2, 0)
	took = 2 * longest
	expect(3, 0) // there was no telling that it would take so long
	expect(3, 1)
	expect(3, 1)
	begun[0]()
	expect(4, 2)
	took = time.Millisecond
	begun[1]()
	expect(5, 2)
	expect(6, 2) // short again
}
