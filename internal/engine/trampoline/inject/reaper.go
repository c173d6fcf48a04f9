//go:build linux

package inject

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// reaper waits for the ends of traced threads, beside the thread that traces them. That could wait for ever otherwise: to seize a thread it
// waits for the end of an execve(2) (cred_guard_mutex, ptrace_attach in kernel/ptrace.c), which waits until whoever traces the other threads
// has waited for their ends (de_thread in fs/exec.c).
type reaper struct {
	mu   sync.Mutex
	ids  []int
	done chan struct{}
}

func newReaper() *reaper {
	r := &reaper{done: make(chan struct{})}
	go r.run()
	return r
}

// add has it wait for one more thread.
func (r *reaper) add(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, id)
}

func (r *reaper) run() {
	const interval = 5 * time.Millisecond
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-tick.C:
			r.reap()
		}
	}
}

func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.ids {
		// A stop, which is for the thread that traces, is told too, whatever is asked for: so look first.
		const options = unix.WEXITED | unix.WNOHANG | unix.WALL
		var what unix.Siginfo
		if err := unix.Waitid(unix.P_PID, id, &what, options|unix.WNOWAIT, nil); err == nil && ended(what) {
			_ = unix.Waitid(unix.P_PID, id, nil, options, nil)
		}
	}
}

// ended tells whether it is the end of a thread that was waited for (waitid(2)).
func ended(what unix.Siginfo) bool {
	const exited, killed, dumped = 1, 2, 3
	return what.Signo == int32(unix.SIGCHLD) && (what.Code == exited || what.Code == killed || what.Code == dumped)
}

func (r *reaper) stop() { close(r.done) }
