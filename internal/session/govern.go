//go:build linux

package session

import (
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// It is looked at what following costs every governInterval, and while it costs nothing, after ever longer up to idleGovernInterval.
const governInterval, idleGovernInterval = 100 * time.Millisecond, time.Second

// meter remembers when it was last looked at what following costs a process, and how many hits there had been; cost is what hits since then
// cost that are no longer to be seen in a window.
type meter struct {
	at   moment
	hits uint64
	cost time.Duration
}

// add charges the hits up to some counts, which end with those of a window.
func (m *meter) add(n lifecycle.Counts, w *window) {
	m.cost += time.Duration(n.Hits()-m.hits) * w.by.HitCost().Most
	m.hits = n.Hits()
}

// govern keeps what following costs within the limits, and returns when to do so again.
func (l *loop) govern() time.Duration {
	again := min(2*l.governed, idleGovernInterval)
	if l.options.Overhead.Budget == 0 {
		return idleGovernInterval
	}
	for _, p := range l.programs {
		if p.governor != nil && l.regulate(p) {
			again = governInterval
		}
	}
	l.governed = again
	return again
}

// regulate does what a program's governor decides. It tells whether that has something to do.
func (l *loop) regulate(p *program) (busy bool) {
	ratio := p.governor.Ratio()
	observed := l.observe(p)
	observed.Alternative = l.hasAlternative(p)
	if change, is := p.governor.Observe(observed); is && change.Move {
		l.beginMove(p, change)
	} else if is {
		l.announce(p, change)
	}
	if p.governor.Ratio() != ratio {
		for _, s := range p.sessions {
			l.throttle(s)
		}
	}
	switch {
	case p.moving:
	case p.state == attached && (!p.governor.Attached() || p.syscalls != l.seesSyscalls(p)):
		l.detach(p)
	case p.state == detached && p.governor.Attached() && l.reattachable(p):
		l.reattach(p)
	}
	return p.state != attached && l.reattachable(p) || costsAnything(observed)
}

// seesSyscalls tells whether what only sees a program's system calls is to be attached. With trampolines, that costs nothing to have there.
func (l *loop) seesSyscalls(p *program) bool {
	return l.options.Syscalls && (p.trampolines || p.governor.Syscalls())
}

func costsAnything(o overhead.Observation) bool {
	for _, u := range o.Processes {
		if u.Cost > 0 {
			return true
		}
	}
	return o.Unfollowed > 0
}

// observe returns what following has cost the processes of a program since the last call.
func (l *loop) observe(p *program) overhead.Observation {
	now := l.host.Now()
	o := overhead.Observation{Elapsed: time.Duration(now - p.observed), Processes: make(map[int]overhead.Usage, len(p.sessions))}
	p.observed = now
	for pid, s := range p.sessions {
		o.Processes[pid] = l.usage(s)
	}
	for _, s := range p.sessions {
		o.Attaching = o.Attaching || !s.ready || p.state == attached && s.window == nil
	}
	o.Attaching = o.Attaching || p.changed || p.state == attaching || p.state == detaching
	p.changed = false
	if p.attachment != nil {
		p.chargeOthers(p.attachment)
	}
	o.Unfollowed, p.uncharged = p.uncharged, 0
	return o
}

// chargeOthers remembers what hits cost of processes that are not followed until they are charged.
func (p *program) chargeOthers(a engine.Attachment) {
	if hits, err := a.HitsOfOthers(); err == nil && hits >= p.hitsOfOthers {
		p.uncharged += time.Duration(hits-p.hitsOfOthers) * a.HitCost().Most
		p.hitsOfOthers = hits
	}
}

// usage returns what a session's process used since the last call, and what following cost of that.
func (l *loop) usage(s *session) overhead.Usage {
	if s.window != nil {
		if counts, err := s.window.Counts(); err == nil {
			n := s.past.seen.Counts
			n.Add(counts)
			s.meter.add(n, s.window)
		}
	}
	now := l.momentOf(s.PID)
	u := overhead.Usage{CPU: max(now.cpu-s.meter.at.cpu, 0), Cost: s.meter.cost}
	s.meter.at, s.meter.cost = now, 0
	return u
}

// announce tells of a change of a program's level.
func (l *loop) announce(p *program, c overhead.Change) {
	budget := l.options.Overhead.Budget
	for pid, s := range p.sessions {
		if !s.ready {
			continue
		}
		share := p.governor.Share(pid)
		fields := []zap.Field{
			zap.Int("pid", pid), zap.Stringer("from", c.From), zap.Stringer("to", c.To), zap.Stringer("reason", c.Reason),
			zap.Float64("share", share), zap.Float64("budget", budget),
		}
		if c.PID != 0 && c.PID != pid {
			fields = append(fields, zap.Int("because_of", c.PID))
		}
		l.options.Logger.Info("What is seen of a process changes, as overhead demands or allows", fields...)
		l.sink.OnLevelChange(s.telemetry, telemetry.LevelChange{
			At: l.host.Now(), From: c.From.String(), To: c.To.String(), Engine: p.engineName(), Reason: c.Reason.String(), Share: share, Budget: budget, Less: c.To > c.From,
		})
	}
}
