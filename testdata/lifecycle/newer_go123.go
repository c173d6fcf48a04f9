//go:build go1.23

package main

import "iter"

// newer are the kinds that only newer releases of Go have.
var newer = []func(){pulls}

func pulls() {
	defer group.Done()
	next, stop := iter.Pull(numbers)
	for i := 0; i < 50; i++ {
		next()
	}
	stop()
}

func numbers(yield func(int) bool) {
	for i := 0; ; i++ {
		if !yield(i) {
			return
		}
	}
}
