//go:build linux

package session

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// session is one process that is followed, from when it is found until it ends.
type session struct {
	processes.Process
	program *program
	since   int64 // ns of CLOCK_MONOTONIC, when it was found
	// The rest is valid once ready is set, which a worker's inspection of the process takes.
	ready      bool
	inspecting bool // a worker does so
	looking    bool // a worker looks at channels
	outdated   bool // what is read of it is of before an execution
	telemetry  *telemetry.Process
	cpu        *cpuusage.Meter
	bias       uint64
	window     *window // nil while the engine does not see it
	tracker    *lifecycle.Tracker
	lines      *lines // nil if they are not told apart, or trampolines do so
	past       history
	spans      spanBucket
	meter      meter
	// covered is what was seen of it as one of another program, less what the present one had seen before. moved is why it is to be seen by
	// trampolines, until it is; refusal why it is not, nil if it has not refused.
	covered overhead.Coverage
	moved   *move
	refusal *refusal

	early    []lifecycle.Event // came before it was ready
	newcomer *newcomer         // the engine follows it by itself; nil if it does not, or since it was accepted
	missing  bool              // at the last scan
	over     bool              // it has ended
	overAt   int64
}

// window is a time in which the engine sees a session's process.
type window struct {
	engine.Process
	by      engine.Attachment // by which the engine sees it
	began   moment
	closing bool
	// repairing tells that a worker puts right what the engine knows of its goroutines.
	repairing bool
	// What was last known of the counts: events lost, changes missed, and whether there were more goroutines than there is room for.
	lost, missed uint64
	crowded      bool
	adoptErr     error // why goroutines that the process had are not all known
}

// newcomer is a process that the engine has begun to follow by itself, until it is known whether it counts.
type newcomer struct {
	id    engine.ID
	at    int64 // ns of CLOCK_MONOTONIC, of its first change of state
	early []lifecycle.Event
}

// maxEarly bounds how many events wait for sessions to be ready.
const maxEarly = 64 << 10

// keepEarly keeps an event for later. What there is no room for is lost: the goroutine is told of from its next event on.
func (l *loop) keepEarly(to *[]lifecycle.Event, e *lifecycle.Event) {
	if l.early >= maxEarly {
		return
	}
	l.early++
	kept := *e
	kept.Stack, kept.CreatorStack = slices.Clone(e.Stack), slices.Clone(e.CreatorStack)
	*to = append(*to, kept)
}

// awaitsWindow tells whether the engine is to see the session's process, and does not yet.
func (s *session) awaitsWindow() bool {
	return !s.ready || s.window == nil && s.program.state == attached
}

// found begins a session with a process that counts, if there is none.
func (l *loop) found(p processes.Process) {
	if l.ctx.Err() != nil {
		return
	}
	if s := l.sessions[p.PID]; s != nil {
		if s.Same(p) {
			s.missing = false
			if s.awaitsWindow() && !s.inspecting && s.program.state != attaching {
				l.inspect(s)
			}
			return
		}
		if l.isOutdated(s, p) {
			return
		}
		l.end(s, l.host.Now(), lifecycle.ProcessExit)
	}
	l.begin(p, l.newcomers[p.PID])
}

// isOutdated tells whether a session may be the right one for a process, only that what was read of it is of before an execution of the same
// file: it was looked at, executed the file again, and was followed then. What was read is brought up to date, as soon as the session is ready.
func (l *loop) isOutdated(s *session, p processes.Process) bool {
	if s.StartTime != p.StartTime || s.File != p.File {
		return false
	}
	if !s.ready {
		s.outdated = true
		return true
	}
	if !s.isSeen() {
		return false
	}
	l.inspectAgain(s, l.host.Now())
	return true
}

// isSeen tells whether the engine sees the session's process, as it runs now.
func (s *session) isSeen() bool { return s.window != nil && !s.window.closing && s.window.Followed() }

// begin begins a session as soon as its executable is attached.
func (l *loop) begin(p processes.Process, n *newcomer) {
	program := l.programOf(p)
	s := &session{
		Process: p, program: program, since: l.host.Now(),
		spans: newSpanBucket(l.options.SpansPerSecond, l.host.Now()),
	}
	if n != nil {
		delete(l.newcomers, p.PID)
		s.newcomer, s.early = n, n.early
	}
	l.sessions[p.PID], program.sessions[p.PID] = s, s
	program.retain()
	if program.state != attaching {
		l.inspect(s)
	}
}

// facts is what a worker has found out about a process.
type facts struct {
	bias      uint64
	telemetry *telemetry.Process
	cpu       *cpuusage.Meter
	// by is the attachment by which the engine was to see the process, nil if there was none; accepted the newcomer as which it was
	// accepted or released again, if it was one; window the result, nil if there is none.
	by       engine.Attachment
	accepted *newcomer
	window   *window
}

// inspect has a worker find out what must be known of a session's process, and let the engine see it if its executable is attached.
func (l *loop) inspect(s *session) {
	s.inspecting = true
	if s.program.trampolines { // it was still seen by probes
		l.releaseNewcomer(s)
	}
	process, program, n, known, f := s.Process, s.program, s.newcomer, s.ready, facts{bias: s.bias, telemetry: s.telemetry, cpu: s.cpu}
	var by engine.Attachment
	given := program.given
	if program.state == attached {
		by = program.attachment
	}
	l.work(func() {
		var err error
		if !known {
			f, err = l.read(process, program)
		}
		if err == nil && by != nil {
			err = l.see(process.PID, &f, by, given, n)
		}
		l.post(func(l *loop) { l.inspected(s, f, err) })
	})
}

// shortly is how long it is waited with another attempt.
const shortly = 50 * time.Millisecond

// inspectSoon inspects a session's process in a while.
func (l *loop) inspectSoon(s *session) {
	l.work(func() {
		select {
		case <-time.After(shortly):
		case <-l.ctx.Done():
		}
		l.post(func(l *loop) {
			if !s.over && !s.inspecting && s.awaitsWindow() {
				l.inspect(s)
			}
		})
	})
}

// see lets the engine see a process, if it does not do so already.
func (m *Manager) see(pid int, f *facts, by engine.Attachment, given bool, n *newcomer) (err error) {
	f.by = by
	if given {
		if err := by.Include(pid); err != nil {
			return err
		}
	}
	w := &window{by: by, began: m.momentOf(pid)}
	if n != nil {
		w.began.at = n.at
	}
	f.accepted = n
	if n != nil {
		w.Process, err = by.Accept(pid, n.id)
	} else {
		w.Process, err = by.Follow(pid, f.bias, m.options.Settings)
	}
	if err == nil {
		f.window = w
	}
	return err
}

// read reads what must be known of a process.
func (m *Manager) read(p processes.Process, program *program) (facts, error) {
	cpu := m.host.CPUMeter(p)
	bias, err := m.host.Bias(p, program.Binary)
	if err != nil {
		return facts{}, err
	}
	identity := telemetry.IdentityOf(p)
	of := telemetry.Program{
		Symbols: program.Binary, WaitReasons: program.Binary.WaitReasons, Modules: program.Binary.Modules, FullStacks: m.options.FullStacks,
	}
	return facts{bias: bias, cpu: cpu, telemetry: telemetry.NewProcess(identity, m.options.Resource(p, program.Binary), of, bias)}, nil
}

// inspected takes what a worker has found out.
func (l *loop) inspected(s *session, f facts, err error) {
	s.inspecting = false
	if f.accepted != nil {
		s.newcomer = nil
	}
	gone := f.by != nil && !s.program.is(f.by) // the attachment: how it failed says nothing of the process
	if f.window != nil && (s.over || gone) {
		l.discard(f.window)
		f.window = nil
	}
	if gone {
		err = nil
	}
	switch {
	case s.over:
		l.releaseNewcomer(s)
	case errors.Is(err, engine.ErrFollowed):
		switch { // else it will be told so, or the next scan brings another attempt
		case s.newcomer != nil: // the engine was first, and has told so meanwhile
			l.inspect(s)
		case s.program.trampolines: // what was before has not been left yet
			l.inspectSoon(s)
		}
	case err != nil:
		if f.by == nil || !l.fallBack(s, err) {
			l.refuse(s, err)
		}
	case f.window == nil && s.program.state == attached: // since then
		l.inspect(s)
	default:
		l.releaseNewcomer(s)
		l.ready(s, f)
	}
}

// ready begins to handle a session's events.
func (l *loop) ready(s *session, f facts) {
	s.telemetry, s.cpu, s.bias = f.telemetry, f.cpu, f.bias
	if !s.ready {
		s.ready = true
		s.tracker, s.lines = l.newTracker(s), l.newLines(s)
		l.options.Logger.Info("Following process", zap.Int("pid", s.PID), zap.String("executable", s.Executable),
			zap.String("go", s.program.Binary.GoVersion), zap.String("engine", s.program.engineName()), zap.Int("probes", len(s.program.Binary.Sites)))
		l.options.Followed(s.Process)
	}
	if f.window != nil {
		l.open(s, f.window)
	}
	l.replay(s)
	if s.outdated && !s.over {
		s.outdated = false
		l.inspectAgain(s, l.host.Now())
	}
}

// newTracker returns what follows the goroutines of a session.
func (l *loop) newTracker(s *session) *lifecycle.Tracker {
	b := s.program.Binary
	t := lifecycle.NewTracker(l.options.Limits, goexe.NewPlaces(b, b.WaitReasons, b.Layout.Traits(), s.bias), s.program.homes)
	t.Withhold(s.spans.spent)
	return t
}

// newLines returns what tells apart at which lines the sampled goroutines of a session wait, nil if nobody wants to know.
func (l *loop) newLines(s *session) *lines {
	if !l.options.ByLine || s.program.trampolines {
		return nil
	}
	return newLines(goexe.NewLeaves(s.program.Binary, s.bias))
}

// releaseNewcomer lets go of what the engine has begun to follow by itself, if nobody needs it.
func (l *loop) releaseNewcomer(s *session) {
	if s.newcomer != nil {
		l.release(s.PID, s.newcomer)
		s.newcomer = nil
	}
}

// release has the engine forget a newcomer; it may be followed in another way.
func (l *loop) release(pid int, n *newcomer) {
	l.work(func() {
		if err := l.engine.Release(pid, n.id); err != nil {
			l.options.Logger.Warn("What the engine knows of a process could not be removed", zap.Int("pid", pid), zap.Error(err))
		}
	})
}

// replay handles the events that came before the session was ready.
func (l *loop) replay(s *session) {
	early := s.early
	s.early = nil
	l.early -= len(early)
	for i := range early {
		if !s.over {
			l.handleOf(s, &early[i])
		}
	}
}

// refuse ends a session that cannot be.
func (l *loop) refuse(s *session, err error) {
	l.registry.Refuse(s.Process, err)
	l.end(s, l.host.Now(), lifecycle.Unfollowed)
}

// end ends a session. Its last figures follow when a worker has read them.
func (l *loop) end(s *session, at int64, why lifecycle.Ending) {
	delete(l.sessions, s.PID)
	delete(s.program.sessions, s.PID)
	s.over, s.overAt = true, at
	l.early -= len(s.early)
	s.early = nil
	switch {
	case !s.ready:
		if !s.inspecting {
			l.releaseNewcomer(s)
		}
		s.program.release()
	case s.window == nil:
		s.past.missed(l.momentOf(s.PID))
		l.retire(s)
	default:
		l.ending[s] = true
		l.interrupt(s, at, why)
		if !s.window.closing {
			l.close(s)
		}
	}
}

// interrupt ends all that is known of a session's goroutines.
func (l *loop) interrupt(s *session, at int64, why lifecycle.Ending) {
	if counts, err := s.window.Counts(); err == nil && counts.EventsLost > 0 {
		l.tell(s, s.tracker.Settle(lifecycle.Final, s.window.Status)...)
	}
	l.tell(s, s.tracker.Interrupt(at, why)...)
}

// tell hands lives that are over, or segments of such, to the sink when it is their turn.
func (l *loop) tell(s *session, goroutines ...*lifecycle.Goroutine) {
	for _, g := range goroutines {
		s.spans.spend(1 + len(g.Intervals))
		l.ended = append(l.ended, life{s.telemetry, g})
	}
}
