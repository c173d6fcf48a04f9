//go:build linux

package processes

// slots bounds how much is done at a time.
type slots chan struct{}

func (s slots) use(f func()) {
	s <- struct{}{}
	defer func() { <-s }()
	f()
}

// place is where an executable lies: a path in a mount namespace.
type place struct{ mounts, path string }

// turnstile lets one through at a time.
type turnstile struct {
	taken chan struct{}
	users int // those that wait, too
}

// turn waits until no other process with its executable at the same place is looked at, and returns what ends the turn. So a file system
// that does not answer makes one thread wait and not one for each process.
func (r *Registry) turn(at place) (end func()) {
	r.mu.Lock()
	t := r.turns[at]
	if t == nil {
		t = &turnstile{taken: make(chan struct{}, 1)}
		r.turns[at] = t
	}
	t.users++
	r.mu.Unlock()
	t.taken <- struct{}{}
	return func() {
		<-t.taken
		r.mu.Lock()
		defer r.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(r.turns, at)
		}
	}
}
