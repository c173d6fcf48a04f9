//go:build linux

package session

import (
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// program is an executable file that sessions' processes run, and that is attached in one way. The loop owns it; Executable is valid once it
// has been attached, and until it is closed.
type program struct {
	*Executable
	file        processes.File
	trampolines bool // it is attached by those, not by probes
	state       attachmentState
	attachment  engine.Attachment
	syscalls    bool // the attachment has the probes that only see system calls
	given       bool // the attachment is for the processes of sessions only
	// origin is the program of the same file with probes, from which the processes of this one have moved; nil if it has none.
	origin *program
	// moving tells that its processes are being moved to trampolines, because why; refusal is why they cannot be, nil if that is not known.
	moving   bool
	because  overhead.Change
	refusal  *refusal
	system   map[uint64]bool
	homes    *lifecycle.Homes // of the goroutines of all sessions
	governor *overhead.Governor
	observed int64 // when the governor was last told what following costs, in ns of CLOCK_MONOTONIC
	sessions map[int]*session
	// hitsOfOthers are those of processes that are not followed, at the present attachment, as last seen; uncharged is what those of them cost
	// that the governor has not been told of. changed tells that it has been attached or detached since then.
	hitsOfOthers uint64
	uncharged    time.Duration
	changed      bool
	users        int       // sessions, and last figures that nobody has collected
	idle         time.Time // since when there are none
}

// attachmentState says what becomes of a program's attachment.
type attachmentState int

const (
	attaching attachmentState = iota
	attached
	detaching
	detached
)

func newProgram(file processes.File, trampolines bool) *program {
	return &program{file: file, trampolines: trampolines, state: attaching, sessions: map[int]*session{}, homes: lifecycle.NewHomes()}
}

func (p *program) key() programKey { return programKey{p.file, p.trampolines} }

func (p *program) retain() { p.users++ }

func (p *program) release() {
	if p.users--; p.users == 0 {
		p.idle = time.Now()
	}
}

// settled tells whether no worker attaches or detaches the program.
func (p *program) settled() bool { return p.state == attached || p.state == detached }

// is tells whether the program is attached by an attachment.
func (p *program) is(by engine.Attachment) bool { return p.state == attached && p.attachment == by }

// isSystem tells whether the runtime counts goroutines that begin at a link-time address as its own.
func (p *program) isSystem(start uint64) bool { return p.system[start] }

// attach has a worker analyse the executable that a process runs, and attach it.
func (l *loop) attach(of processes.Process) *program {
	p := newProgram(of.File, l.options.Trampolines == TrampolinesOnly)
	l.programs[p.key()] = p
	o := l.attachOptions(p, l.options.Syscalls, of.PID)
	l.work(func() {
		executable, attachment, err := l.openAndAttach(of.File, o)
		l.post(func(l *loop) { l.opened(p, executable, attachment, err) })
	})
	return p
}

// attachOptions says how a program is to be attached: to given processes alone, if no others can count or are to be seen so.
func (l *loop) attachOptions(p *program, syscalls bool, pids ...int) engine.AttachOptions {
	o := engine.AttachOptions{Syscalls: syscalls, Trampolines: p.trampolines}
	if p.given = !l.isForAll(p); p.given {
		o.PIDs = pids
	}
	return o
}

// isForAll tells whether a program is to be attached to all processes that run it, now or later. Trampolines do nothing to a process that is
// not followed; probes slow all processes, also those that are seen by trampolines.
func (l *loop) isForAll(p *program) bool {
	return p.trampolines || l.options.Newcomers && l.programs[programKey{p.file, true}] == nil
}

// openAndAttach analyses an executable and attaches it.
func (m *Manager) openAndAttach(of processes.File, o engine.AttachOptions) (*Executable, engine.Attachment, error) {
	file, err := m.registry.Open(of)
	if err != nil {
		return nil, nil, err
	}
	executable, err := m.host.Open(file)
	if err != nil {
		return nil, nil, err
	}
	attachment, err := m.engine.Attach(executable.Binary, executable.Path, o)
	if err != nil {
		return nil, nil, errors.Join(err, executable.Close())
	}
	return executable, attachment, nil
}

// opened takes an executable that has been attached for the first time.
func (l *loop) opened(p *program, executable *Executable, attachment engine.Attachment, err error) {
	if err != nil {
		delete(l.programs, p.key())
		l.refuseAll(p, err)
		return
	}
	l.analysed(p, executable)
	l.attached(p, attachment, l.options.Syscalls)
}

// analysed takes what is known of a program's executable.
func (l *loop) analysed(p *program, executable *Executable) {
	p.Executable = executable
	p.system = map[uint64]bool{}
	for _, pc := range p.Binary.SystemStarts {
		p.system[pc] = true
	}
	seesSyscalls := slices.ContainsFunc(p.Binary.Sites, func(s goexe.Site) bool { return s.Syscall })
	p.governor = overhead.NewGovernor(overhead.Options{
		Limits: l.options.Overhead, Arbiter: l.arbiter, Syscalls: l.options.Syscalls && seesSyscalls && !p.trampolines, Sampled: l.options.Settings.SamplingRatio > 0,
	})
	p.observed = l.host.Now()
	p.idle = time.Now()
	if !p.trampolines {
		l.warnOfCost(p)
	}
}

// attached lets the engine see the processes of a program that has been attached.
func (l *loop) attached(p *program, attachment engine.Attachment, syscalls bool) {
	p.attachment, p.state, p.syscalls, p.hitsOfOthers = attachment, attached, syscalls, 0
	p.changed = true
	for _, s := range p.sessions {
		if !s.inspecting {
			l.inspect(s)
		}
	}
	l.followNewcomers(p)
}

// refuseAll ends the sessions of a program that cannot be attached.
func (l *loop) refuseAll(p *program, err error) {
	for _, s := range p.sessions {
		if errors.Is(err, unix.ESRCH) { // it was for these processes only
			l.refuse(s, err)
			continue
		}
		l.registry.RefuseFile(s.Process, err)
		l.end(s, l.host.Now(), lifecycle.Unfollowed)
	}
}

// followNewcomers lets the engine follow processes by itself that begin to run a program, if such may count.
func (l *loop) followNewcomers(p *program) {
	if !l.options.Newcomers || p.given || l.ctx.Err() != nil {
		return
	}
	if err := p.attachment.FollowNewcomers(l.options.Settings); err != nil {
		l.options.Logger.Warn("The first goroutines of new processes may be missed", zap.Error(err))
	}
}

// warnOfCost says which probes the kernel must single-step.
func (l *loop) warnOfCost(p *program) {
	for _, s := range p.Binary.Sites {
		if s.Cost == goexe.SingleStepped && (l.options.Syscalls || !s.Syscall) {
			l.options.Logger.Warn("A probe has no cheap place: each of its hits takes the kernel two traps, some ten times as long as others",
				zap.String("main", p.Binary.MainPath), zap.String("function", s.Function))
		}
	}
}

// reattachable tells whether somebody would be seen if a program was attached again.
func (l *loop) reattachable(p *program) bool {
	return len(p.sessions) > 0 || l.options.Newcomers && l.isForAll(p)
}

// reattach has a worker attach a program again.
func (l *loop) reattach(p *program) {
	p.state = attaching
	syscalls := l.seesSyscalls(p)
	o := l.attachOptions(p, syscalls, slices.Collect(maps.Keys(p.sessions))...)
	l.work(func() {
		attachment, err := l.engine.Attach(p.Binary, p.Path, o)
		l.post(func(l *loop) {
			if err == nil {
				l.attached(p, attachment, syscalls)
				return
			}
			p.state = detached
			l.refuseAll(p, err)
		})
	})
}

// detach has a worker take a program's attachment away, and closes the windows of its processes with what was seen until it was gone.
func (l *loop) detach(p *program) {
	p.state = detaching
	attachment := p.attachment
	p.attachment = nil
	if err := attachment.IgnoreNewcomers(); err != nil {
		l.options.Logger.Warn("New processes are still followed", zap.Error(err))
	}
	seen := p.beginClosing()
	l.work(func() {
		l.readAll(seen, func(c *closing, did lifecycle.Totals, err error) {
			c.ended, c.did, c.err = l.momentOf(c.pid), did, err
		})
		if err := attachment.Close(); err != nil {
			l.options.Logger.Warn("What was attached to an executable could not be removed", zap.Error(err))
		}
		l.readAll(seen, func(c *closing, did lifecycle.Totals, err error) { c.total, c.err = did, errors.Join(c.err, err) })
		l.post(func(l *loop) { l.whenDrained(func() { l.detached(p, attachment, seen) }) })
	})
}

// closing is a window that is being closed as its program is detached. That takes a while, in which what is seen becomes less: the time until
// ended, and what was done by then, tell how much a process does. The total counts all that was seen.
type closing struct {
	of         *session
	pid        int
	window     *window
	ended      moment
	did, total lifecycle.Totals
	err        error
}

// readAll reads what was seen in windows until now.
func (m *Manager) readAll(windows []*closing, take func(*closing, lifecycle.Totals, error)) {
	all, err := m.engine.Distributions()
	for _, c := range windows {
		did, countsErr := totalsOf(c.window, all[c.window.ID()])
		take(c, did, errors.Join(err, countsErr))
	}
}

// beginClosing begins to close all windows of a program's processes.
func (p *program) beginClosing() (all []*closing) {
	for _, s := range p.sessions {
		if s.window != nil && !s.window.closing {
			s.window.closing = true
			all = append(all, &closing{of: s, pid: s.PID, window: s.window})
		}
	}
	return all
}

// detached takes what was seen in the windows of a program that has been detached.
func (l *loop) detached(p *program, attachment engine.Attachment, seen []*closing) {
	p.state, p.changed = detached, true
	p.chargeOthers(attachment)
	for _, c := range seen {
		l.interrupt(c.of, c.ended.at, lifecycle.Unfollowed)
		l.windowClosed(c)
		l.discard(c.window)
	}
	if p.moving {
		l.moveSessions(p, attachment)
	}
}

// linger is how long an executable that no process runs stays attached: it may be started again at once.
const linger = 5 * time.Second

// closeIdle closes the programs that no process has run for a while.
func (l *loop) closeIdle() {
	for _, p := range l.programs {
		if p.users == 0 && p.settled() && time.Since(p.idle) >= linger {
			l.closeProgram(p)
		}
	}
}

// closeProgram has a worker take all away that is known of an executable.
func (l *loop) closeProgram(p *program) {
	delete(l.programs, p.key())
	if p.origin != nil {
		p.origin.release()
	}
	if p.governor != nil {
		p.governor.Close()
	}
	attachment, executable := p.attachment, p.Executable
	p.state, p.attachment = detached, nil
	l.work(func() {
		var err error
		if attachment != nil {
			err = attachment.Close()
		}
		if executable != nil {
			err = errors.Join(err, executable.Close())
		}
		if err != nil {
			l.options.Logger.Warn("What was attached to an executable could not be removed", zap.Error(err))
		}
	})
}
