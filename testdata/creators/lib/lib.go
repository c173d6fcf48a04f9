// Package lib starts goroutines on behalf of its callers.
package lib

// Go runs a function in a goroutine.
//
//go:noinline
func Go(f func()) { start(f, 1) }

//go:noinline
func start(f func(), depth int) {
	if depth > 0 {
		start(f, depth-1)
		return
	}
	go f()
}

// GoInlined does the same, with no call that the compiler leaves.
func GoInlined(f func()) { go f() }
