//go:build linux

package processes

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Guard makes calls that a process can let wait for as long as it wants, as a read of its memory does where that is of a userfaultfd or of a file of
// a file system that does not answer. It bounds how long others wait with them: at most one call that was given up is left behind for each of those
// that use the Guard at once.
type Guard struct {
	// Go begins a call beside the caller; nil for a new goroutine.
	Go func(call func())

	left  atomic.Int32 // calls that were given up and have not ended
	since atomic.Int64 // when the first of them was, in ns since 1970
}

// Do makes a call beside the caller and waits for its end, but no longer than patience. It reports whether the call has ended. If not, what the
// call uses must not be used again. It makes none while another that was given up has not ended.
func (g *Guard) Do(patience time.Duration, call func()) bool {
	return g.do(call, func(ended <-chan struct{}) bool { return endsWithin(patience, ended) })
}

// extensions is how often the patience with a system call is extended.
const extensions = 4

// DoSystemCalls is Do for calls that only make system calls. It waits longer, a few times at the most, while they wait for a processor and not for
// the process.
func (g *Guard) DoSystemCalls(patience time.Duration, calls func()) bool {
	var thread atomic.Int32
	onThread := func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread.Store(int32(unix.Gettid()))
		calls()
	}
	return g.do(onThread, func(ended <-chan struct{}) bool {
		for range extensions {
			if endsWithin(patience, ended) {
				return true
			}
			if !wantsProcessor(int(thread.Load())) {
				break
			}
		}
		return endsWithin(patience/extensions, ended) // it may have ended just now
	})
}

func endsWithin(patience time.Duration, ended <-chan struct{}) bool {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-ended:
		return true
	case <-limit.C:
		return false
	}
}

// wantsProcessor tells whether a thread of this process has not begun, could run, or waits for the runtime's leave to run, which it does by a futex
// (lock_futex.go of package runtime), and so not for a system call of the program's own.
func wantsProcessor(thread int) bool {
	if thread == 0 {
		return true
	}
	in, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(thread) + "/syscall") // proc_pid_syscall(5)
	number, _, _ := strings.Cut(strings.TrimSpace(string(in)), " ")
	return err == nil && (number == "running" || number == strconv.Itoa(unix.SYS_FUTEX))
}

func (g *Guard) do(call func(), awaits func(ended <-chan struct{}) bool) bool {
	if g.left.Load() > 0 {
		return false
	}
	ended := make(chan struct{})
	g.begin(func() {
		defer close(ended)
		call()
	})
	if awaits(ended) {
		return true
	}
	if g.left.Add(1) == 1 {
		g.since.Store(time.Now().UnixNano())
	}
	go func() {
		<-ended
		g.left.Add(-1)
	}()
	return false
}

func (g *Guard) begin(call func()) {
	if g.Go != nil {
		g.Go(call)
		return
	}
	go call()
}

// Silent returns for how long a call that was given up has not ended, 0 if there is none.
func (g *Guard) Silent() time.Duration {
	if g.left.Load() == 0 {
		return 0
	}
	return time.Since(time.Unix(0, g.since.Load()))
}
