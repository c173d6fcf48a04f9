//go:build go1.23 || goexperiment.rangefunc

package main

import (
	"iter"
	"time"
)

var newer = []func(){pull}

func pull() {
	next, stop := iter.Pull(values)
	defer stop()
	for range 3 {
		next() // wait: iter.Pull
	}
}

func values(yield func(int) bool) {
	for i := 0; ; i++ {
		time.Sleep(long)
		if !yield(i) { // wait: yield
			return
		}
	}
}
