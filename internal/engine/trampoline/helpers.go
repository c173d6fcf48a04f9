//go:build linux

package trampoline

import (
	"runtime"
	"time"
)

// helpers are threads that make calls for the reader which may never end. They run before others, as the reader does.
type helpers struct{ calls chan func() }

// spareTime is for how long a helper waits for another call.
const spareTime = time.Second

func newHelpers() *helpers { return &helpers{calls: make(chan func())} }

// begin has a helper make a call.
func (h *helpers) begin(call func()) {
	select {
	case h.calls <- call:
	default:
		go h.help(call)
	}
}

func (h *helpers) help(call func()) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	hurryThread()
	spare := time.NewTimer(spareTime)
	defer spare.Stop()
	for {
		call()
		spare.Reset(spareTime)
		select {
		case call = <-h.calls:
		case <-spare.C:
			return
		}
	}
}
