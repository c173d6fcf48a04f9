//go:build linux

package trampoline

import (
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// watch tells when the process has ended, after all that its goroutines did. It waits in Go's poller, which takes no thread.
func (p *Process) watch() {
	fd, err := unix.PidfdOpen(p.machine.pid, unix.PIDFD_NONBLOCK)
	if err != nil { // it has ended
		p.ended(lifecycle.ProcessExited)
		return
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	p.mu.Lock()
	p.pidfd = file
	p.mu.Unlock()
	p.engine.running.Go(func() {
		defer file.Close()
		if waitForExit(file) {
			p.ended(lifecycle.ProcessExited)
		}
	})
}

// waitForExit reports false if the file is closed before the process has ended.
func waitForExit(pidfd *os.File) (exited bool) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, 0)
		exited = err == nil && n == 1
		return exited
	})
	return err == nil && exited
}

// ended takes that the process has ended, or executes another program.
func (p *Process) ended(how lifecycle.Kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.source == nil {
		return
	}
	p.catchUp()
	_ = p.source.close() // of a process that is no more
	p.source = nil
	p.tellEnd(how)
}

// beginAnew lets go of a process of which what happens cannot be dated any more, as if it executed its program again.
func (p *Process) beginAnew() {
	if err := p.remove(); err != nil {
		p.engine.options.Logger.Warn("Trampolines could not be removed", zap.Error(err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tellEnd(lifecycle.ProcessExecuted)
}

// tellEnd tells that the process is not followed any more, and why. p.mu is held.
func (p *Process) tellEnd(how lifecycle.Kind) {
	p.seen.Store(false)
	p.engine.queue.begin()
	defer p.engine.queue.end()
	if e := p.engine.queue.add(true); e != nil { // a scan finds out otherwise
		*e = lifecycle.Event{Kind: how, Time: lifecycle.Now(), PID: p.machine.pid}
	}
}
