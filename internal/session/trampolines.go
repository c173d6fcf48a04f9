//go:build linux

package session

import (
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// Trampolines says which processes are seen by trampolines, the others by probes.
type Trampolines int

const (
	// NoTrampolines is none.
	NoTrampolines Trampolines = iota
	// TrampolinesAtCost is those of programs whose probes cost more than they may, but for those processes that refuse.
	TrampolinesAtCost
	// TrampolinesOnly is all; those that refuse are not followed.
	TrampolinesOnly
)

// programKey names a program: those processes of a file that are seen in one way.
type programKey struct {
	file        processes.File
	trampolines bool
}

// engineName is what telemetry calls what sees a program.
func (p *program) engineName() string {
	if p.trampolines {
		return "trampoline"
	}
	return "uprobe"
}

// programOf returns the program that a process is to be one of: with trampolines, if others of its file have moved. While they do, there are
// still probes in it.
func (l *loop) programOf(p processes.Process) *program {
	moved := l.programs[programKey{p.File, true}]
	if moved != nil && (moved.origin == nil || !moved.origin.moving) {
		return moved
	}
	if stays := l.programs[programKey{p.File, false}]; stays != nil {
		return stays
	}
	return l.attach(p)
}

// refusal is why a process, or all of a program, stays with probes.
type refusal struct {
	text  string
	again time.Time // when it may be tried again; zero is never
}

// refusalLasts is for how long a refusal counts that may pass.
const refusalLasts = time.Minute

func newRefusal(err error) *refusal {
	r := &refusal{text: err.Error()}
	var refused *engine.Refusal
	if !errors.As(err, &refused) || refused.Reason.MayPass() {
		r.again = time.Now().Add(refusalLasts)
	}
	return r
}

func (r *refusal) holds(now time.Time) bool {
	return r != nil && (r.again.IsZero() || now.Before(r.again))
}

// mayMove tells whether a session's process may be seen by trampolines, as far as is known.
func (s *session) mayMove(now time.Time) bool {
	return !s.program.refusal.holds(now) && !s.refusal.holds(now)
}

// hasAlternative tells whether a program's processes may be seen by trampolines instead of probes, or are about to be.
func (l *loop) hasAlternative(p *program) bool {
	if l.options.Trampolines != TrampolinesAtCost || p.trampolines {
		return false
	}
	if p.moving {
		return true
	}
	now := time.Now()
	for _, s := range p.sessions {
		if s.mayMove(now) {
			return p.state == attached
		}
	}
	return false
}

// beginMove begins to move a program's processes to trampolines. The executable is prepared for those first: if it refuses, nothing else changes.
func (l *loop) beginMove(p *program, because overhead.Change) {
	if p.moving {
		return
	}
	p.moving, p.because = true, because
	t := l.programs[programKey{p.file, true}]
	if t != nil {
		t.retain()
		l.detach(p)
		return
	}
	t = newProgram(p.file, true)
	t.origin, t.homes = p, p.homes
	l.programs[t.key()] = t
	p.retain() // names of processes that move are read from its file
	t.retain()
	o := l.attachOptions(t, l.options.Syscalls)
	l.work(func() {
		executable, attachment, err := l.openAndAttach(t.file, o)
		l.post(func(l *loop) { l.prepared(t, executable, attachment, err) })
	})
}

// prepared takes an executable that has been prepared for trampolines, or why it cannot be.
func (l *loop) prepared(t *program, executable *Executable, attachment engine.Attachment, err error) {
	p := t.origin
	if err != nil {
		p.moving = false
		p.refusal = newRefusal(err)
		delete(l.programs, t.key())
		p.release()
		l.options.Logger.Warn("A program does not permit trampolines: it stays with probes, and less is seen of it as they cost too much",
			zap.String("main", p.Binary.MainPath), zap.Error(err))
		for _, s := range p.sessions {
			l.options.Refused(s.Process, err)
		}
		return
	}
	l.analysed(t, executable)
	l.attached(t, attachment, l.options.Syscalls)
	if p.state == attached && l.ctx.Err() == nil { // else all ends
		l.detach(p)
	}
}

// move is why a session's process is to be seen by trampolines, and what part of its processor time probes took.
type move struct {
	because overhead.Change
	share   float64
}

// moveSessions hands the processes of a program that has no probes any more to the one with trampolines, as far as they do not refuse.
func (l *loop) moveSessions(p *program, probes engine.Attachment) {
	p.moving = false
	t := l.programs[programKey{p.file, true}]
	if t == nil {
		return // all ends
	}
	t.release()
	moved, now := 0, time.Now()
	for _, s := range p.sessions {
		if s.mayMove(now) {
			s.moved = &move{p.because, p.governor.Share(s.PID)}
			l.transfer(s, t)
			moved++
		}
	}
	if len(p.sessions) == 0 {
		p.governor.Rest() // else what probes have cost the host would leave less to what replaces them
	}
	l.options.Logger.Info("Probes cost a program more than they may: its processes are to be seen by trampolines", zap.String("main", p.Binary.MainPath),
		zap.Int("processes", moved), zap.Stringer("reason", p.because.Reason), zap.Float64("budget", l.options.Overhead.Budget),
		zap.Duration("probe", probes.HitCost().Most), zap.Duration("trampoline", t.attachment.HitCost().Most))
}

// transfer makes a session, which the engine does not see just now, one of another program of the same file.
func (l *loop) transfer(s *session, to *program) {
	from := s.program
	s.covered = s.coverage().Minus(to.governor.Coverage())
	s.meter.cost = 0 // what the other way cost says nothing of this one
	delete(from.sessions, s.PID)
	to.sessions[s.PID] = s
	to.retain()
	from.release()
	s.program = to
	if to.state == attached && !s.inspecting {
		l.inspect(s)
	}
}

// coverage returns how much was seen of a session's process, in whatever way.
func (s *session) coverage() overhead.Coverage { return s.covered.Plus(s.program.governor.Coverage()) }

// fallBack keeps a session's process with probes if it refuses trampolines. It reports false if there are no probes to fall back to.
func (l *loop) fallBack(s *session, err error) bool {
	p := s.program.origin
	if p == nil || errors.Is(err, unix.ESRCH) {
		return false
	}
	s.moved = nil
	l.stays(s, err)
	l.transfer(s, p)
	return true
}

// stays remembers, and says once, why a process stays with probes.
func (l *loop) stays(s *session, err error) {
	r := newRefusal(err)
	if s.refusal == nil || s.refusal.text != r.text {
		l.options.Logger.Warn("Process does not permit trampolines: it stays with probes, and less is seen of it if they cost too much",
			zap.Int("pid", s.PID), zap.String("executable", s.Executable), zap.Error(err))
		l.options.Refused(s.Process, err)
	}
	s.refusal = r
}

// announceMove tells that a session's process is seen by trampolines from now on.
func (l *loop) announceMove(s *session, m move) {
	level := s.program.governor.Level()
	l.sink.OnLevelChange(s.telemetry, telemetry.LevelChange{
		At: l.host.Now(), From: m.because.From.String(), To: level.String(), Engine: s.program.engineName(), Reason: m.because.Reason.String(),
		Share: m.share, Budget: l.options.Overhead.Budget,
	})
}
