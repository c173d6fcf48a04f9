//go:build linux

package trampoline

import (
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// openPidfd returns what tells of the end of a process, in Go's poller, which takes no thread to wait.
func openPidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// watch tells when the process has ended, after all that its goroutines did.
func (p *Process) watch() {
	if !waitForExit(p.pidfd) {
		return
	}
	p.removing.Lock()
	defer p.removing.Unlock()
	p.ended(lifecycle.ProcessExited)
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

// ended takes that the process has ended, or executes another program. p.removing is held.
func (p *Process) ended(how lifecycle.Kind) {
	s := p.currentSource()
	if s == nil {
		return
	}
	p.leave()
	_ = s.close() // of a process that is no more
	p.tellEnd(how)
}

// executionInterval is how often it is looked for whether processes have executed other programs.
const executionInterval = 100 * time.Millisecond

// watchExecutions looks for processes that execute other programs, until the engine is closed. It does so beside the reader, as the kernel may not
// answer.
func (e *Engine) watchExecutions() {
	tick := time.NewTicker(executionInterval)
	defer tick.Stop()
	for {
		select {
		case <-e.closed:
			return
		case <-tick.C:
		}
		for _, p := range *e.list.Load() {
			if i := p.installed.Load(); p.seen.Load() && i != nil && i.Gone() {
				p.executed()
			}
		}
	}
}

// executed takes that the process executes another program, unless somebody takes the trampolines away just now.
func (p *Process) executed() {
	if p.removing.TryLock() {
		defer p.removing.Unlock()
		p.ended(lifecycle.ProcessExecuted)
	}
}

// beginAnew lets go of a process of which what happens cannot be dated any more, as if it executed its program again.
func (p *Process) beginAnew() {
	if err := p.remove(); err != nil {
		p.engine.options.Logger.Warn("Trampolines could not be removed", zap.Error(err))
	}
	p.tellEnd(lifecycle.ProcessExecuted)
}

// tellEnd tells that the process is not followed any more, and why.
func (p *Process) tellEnd(how lifecycle.Kind) {
	p.engine.queue.begin()
	defer p.engine.queue.end()
	if e := p.engine.queue.add(true); e != nil { // a scan finds out otherwise
		*e = lifecycle.Event{Kind: how, Time: lifecycle.Now(), PID: p.machine.pid}
	}
}
