//go:build go1.23
// +build go1.23

package main

import "iter"

func init() { add("iterators", iterators) }

// iterators switches between coroutines.
func iterators() {
	const times = 900
	next, stop := iter.Pull(iter.Seq[int](func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	}))
	defer stop()
	for i := 0; i < times; i++ {
		if x, ok := next(); x != i || !ok {
			wrong("iterators %d %d", x, i)
		}
	}
}
