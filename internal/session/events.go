//go:build linux

package session

import (
	"errors"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// handle brings an event to its session.
func (l *loop) handle(e *lifecycle.Event) {
	switch e.Kind {
	case lifecycle.ProcessExecuted:
		l.executed(e.PID, e.Time)
		return
	case lifecycle.ProcessFollowed:
		l.arrived(e)
		return
	}
	if s := l.sessions[e.PID]; s != nil {
		l.handleOf(s, e)
	} else if n := l.newcomers[e.PID]; n != nil {
		l.keepEarly(&n.early, e)
	}
}

// handleOf handles an event of a session.
func (l *loop) handleOf(s *session, e *lifecycle.Event) {
	switch {
	case !s.ready || s.window == nil && s.newcomer != nil:
		l.keepEarly(&s.early, e)
	case e.Kind == lifecycle.ProcessExited:
		l.firstThreadExited(s, e.Time)
	case s.window != nil && e.Time >= s.window.began.at:
		l.change(s, e)
	}
}

// firstThreadExited ends a session, unless the process goes on without its first thread: then a scan will see its end.
func (l *loop) firstThreadExited(s *session, at int64) {
	pid, by, given := s.PID, s.program.attachment, s.program.given
	l.work(func() {
		if l.host.GoesOn(pid) {
			if given && by != nil {
				l.includeAgain(pid, by)
			}
			return
		}
		l.post(func(l *loop) {
			if !s.over {
				l.end(s, at, lifecycle.ProcessExit)
			}
		})
	})
}

// includeAgain keeps a process attached whose first thread has exited, if it was by that thread.
func (m *Manager) includeAgain(pid int, by engine.Attachment) {
	if err := by.Include(pid); err != nil {
		m.options.Logger.Warn("A process without its first thread is not seen any more", zap.Int("pid", pid), zap.Error(err))
	}
}

// change brings a change of a goroutine's state to its goroutine.
func (l *loop) change(s *session, e *lifecycle.Event) {
	if s.lines != nil && !s.program.trampolines {
		s.lines.add(s.tracker.Get(e.G), e)
	}
	ended := s.tracker.Handle(e)
	g := s.tracker.Get(e.G)
	if n := len(ended); e.Kind == lifecycle.Exited && n > 0 {
		g = ended[n-1]
	}
	if g != nil && e.Kind.IsChange() {
		l.sink.Changed(s.telemetry, g, e)
		if l.options.Logged {
			s.spans.spend(1)
		}
	}
	for _, g := range ended {
		s.spans.spend(1 + len(g.Intervals))
		l.sink.Ended(s.telemetry, g)
		s.tracker.Recycle(g)
	}
}

// track brings an event that the session itself knows to its goroutine.
func (l *loop) track(s *session, e *lifecycle.Event) {
	l.tell(s, s.tracker.Handle(e)...)
}

// executed ends the session of a process that has executed a program at a time, and has it looked at again.
func (l *loop) executed(pid int, at int64) {
	l.dropNewcomer(pid)
	s := l.sessions[pid]
	if s != nil && at < s.since {
		return
	}
	if s != nil && s.isSeen() {
		l.inspectAgain(s, at) // the engine has seen it only since then
		return
	}
	if s != nil {
		l.end(s, at, lifecycle.ProcessExit)
	}
	l.look(pid)
}

// dropNewcomer lets go of what the engine has followed a process as before that executed another program.
func (l *loop) dropNewcomer(pid int) {
	if n := l.newcomers[pid]; n != nil {
		delete(l.newcomers, pid)
		l.early -= len(n.early)
		l.release(pid, n)
	}
}

// inspectAgain brings what was read of a process up to date that was followed only after it had executed a program: if it runs the same
// file at the same place, its goroutines are the right ones.
func (l *loop) inspectAgain(s *session, executed int64) {
	pid := s.PID
	l.work(func() {
		p, counts, _ := l.registry.Look(l.ctx, pid)
		var f facts
		var err error
		same := counts && p.File == s.File
		if same {
			f, err = l.read(p, s.program)
		}
		l.post(func(l *loop) {
			switch {
			case s.over:
			case same && err == nil && f.bias == s.bias && s.isSeen():
				s.Process, s.telemetry, s.since = p, f.telemetry, executed+1
			default:
				l.end(s, executed, lifecycle.ProcessExit)
				l.look(s.PID)
			}
		})
	})
}

// arrived takes a process that the engine has begun to follow by itself, at its first change of state.
func (l *loop) arrived(e *lifecycle.Event) {
	n := &newcomer{id: engine.ID(e.G), at: e.Time}
	if s := l.sessions[e.PID]; s != nil {
		switch {
		case s.awaitsWindow() && s.newcomer == nil: // the engine was first
			s.newcomer = n
			if !s.inspecting && s.program.state != attaching {
				l.inspect(s)
			}
			return
		case s.window == nil, s.window.closing, s.window.Followed(): // two of its threads were first, or its attachment goes
			l.release(e.PID, n)
			return
		}
		l.end(s, e.Time, lifecycle.ProcessExit)
	}
	l.dropNewcomer(e.PID) // the event that it has executed a program was lost
	l.newcomers[e.PID] = n
	pid := e.PID
	l.work(func() {
		p, counts, err := l.registry.Look(l.ctx, pid)
		l.post(func(l *loop) { l.decided(n, pid, p, counts, err) })
	})
}

// decided begins the session of a newcomer that counts, or has the engine ignore it.
func (l *loop) decided(n *newcomer, pid int, p processes.Process, counts bool, err error) {
	if l.newcomers[pid] != n {
		return // it has executed another program meanwhile, or has its session already
	}
	if counts && l.ctx.Err() == nil {
		l.begin(p, n)
		return
	}
	delete(l.newcomers, pid)
	l.early -= len(n.early)
	if errors.Is(err, processes.ErrNoAnswer) { // a scan may find it
		l.release(pid, n)
		return
	}
	l.work(func() {
		if err := l.engine.Reject(pid, n.id); err != nil {
			l.options.Logger.Warn("What the engine knows of a process could not be removed", zap.Int("pid", pid), zap.Error(err))
		}
	})
}
