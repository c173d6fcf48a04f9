//go:build linux

package session

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
)

// open begins a window, and has a worker look for the goroutines that the process has already.
func (l *loop) open(s *session, w *window) {
	s.window = w
	s.program.changed = true
	if s.moved != nil && s.program.trampolines {
		l.announceMove(s, *s.moved)
		s.moved = nil
	}
	s.past.missed(w.began)
	l.throttle(s)
	pid, bias, ctx := s.PID, s.bias, l.ctx
	l.work(func() {
		err := l.eachLiving(pid, s.program, bias, l.options.Settings.Stacks, func(found []snapshot.Goroutine) {
			l.post(func(l *loop) { l.adopt(s, w, found) })
		})
		if ctx.Err() == nil {
			l.post(func(l *loop) { l.adopted(s, w, err) })
		}
	})
}

// adoptedAtOnce is how many goroutines are adopted between two bursts of events.
const adoptedAtOnce = 1024

// eachLiving calls visit with the goroutines that a process has, some at a time.
func (m *Manager) eachLiving(pid int, program *program, bias uint64, stacks bool, visit func([]snapshot.Goroutine)) error {
	var some []snapshot.Goroutine
	err := m.host.Goroutines(m.ctx, pid, program.Binary, bias, stacks, func(g snapshot.Goroutine) error {
		if some = append(some, g); len(some) == adoptedAtOnce {
			visit(some)
			some = nil
		}
		return nil
	})
	if len(some) > 0 {
		visit(some)
	}
	return err
}

// asSeen returns a goroutine, which was found in the process's memory, as the engine would see it.
func (m *Manager) asSeen(w *window, p *program, bias uint64, g snapshot.Goroutine) engine.Goroutine {
	return w.AsSeen(engine.Goroutine{
		G: g.G, GoID: g.GoID, State: g.State, Reason: g.WaitReason, Since: m.host.Now(), StartPC: g.StartPC, CreationPC: g.CreationPC, System: p.isSystem(g.StartPC - bias),
	})
}

// adopt makes goroutines known that the process had before the window.
func (l *loop) adopt(s *session, w *window, found []snapshot.Goroutine) {
	if s.window != w || w.closing || w.adoptErr != nil {
		return
	}
	for _, g := range found {
		k := l.asSeen(w, s.program, s.bias, g)
		k.Sampled = l.options.Settings.Samples(s.program.governor.Ratio())
		adopted, err := w.Adopt(k)
		if err != nil {
			w.adoptErr = err
			return
		}
		if adopted && k.Sampled {
			l.track(s, &lifecycle.Event{
				Kind: lifecycle.Created, Time: k.Since, Since: k.Since, PID: s.PID, G: g.G, GoID: g.GoID, From: k.State, To: k.State,
				ToReason: k.Reason, System: k.System, Preexisting: true, Root: true,
				ParentGoID: g.ParentGoID, StartPC: g.StartPC, CreationPC: g.CreationPC, Stack: g.Stack,
			})
		}
	}
}

// adopted is called when all goroutines that the process had have been adopted, or why that could not be.
func (l *loop) adopted(s *session, w *window, err error) {
	if s.window != w || w.closing {
		return
	}
	if !w.Followed() { // it has executed its file again meanwhile: what was found may be the next program's
		s.tracker = l.newTracker(s)
	}
	l.throttle(s)
	if err = errors.Join(err, w.adoptErr); err != nil {
		l.options.Logger.Warn("Goroutines that the process has already are followed from their next change of state on",
			zap.Int("pid", s.PID), zap.Error(err))
	}
}

// close ends the window of a session that is over: a worker reads its last figures, and the engine forgets the process.
func (l *loop) close(s *session) {
	w, pid, cpu, collected := s.window, s.PID, s.cpu, l.ctx.Err() == nil
	w.closing = true
	l.work(func() {
		cpu.Read() // as long as the process is not quite gone
		c := &closing{of: s, window: w, ended: l.momentOf(pid)}
		var distributions engine.ProcessDistributions
		var err error
		if collected { // which takes a look at those of all processes
			distributions, err = w.Distributions()
		}
		c.did, c.err = totalsOf(w, distributions)
		c.total, c.err = c.did, errors.Join(err, c.err, w.Unfollow())
		l.post(func(l *loop) { l.windowClosed(c) })
	})
}

// discard has the engine forget a process that turned out not to be needed.
func (l *loop) discard(w *window) {
	l.work(func() {
		if err := w.Unfollow(); err != nil {
			l.options.Logger.Warn("What the engine knows of a process could not be removed", zap.Error(err))
		}
	})
}

// totalsOf reads what was seen in a window, of which the distributions have been read.
func totalsOf(w *window, of engine.ProcessDistributions) (lifecycle.Totals, error) {
	counts, err := w.Counts()
	return lifecycle.Totals{Counts: counts, Histograms: of.Histograms, Functions: of.Functions, System: of.System, Runs: of.Runs, Lines: of.Lines}, err
}

// windowClosed takes what was seen in a window that has ended.
func (l *loop) windowClosed(c *closing) {
	s := c.of
	if c.err != nil {
		l.options.Logger.Warn("The last figures of a process could not be read", zap.Int("pid", s.PID), zap.Error(c.err))
	}
	s.past.closed(c, time.Duration(c.did.Counts.Hits())*c.window.by.HitCost().Usual)
	s.meter.add(s.past.seen.Counts, c.window)
	s.window = nil
	if s.over {
		l.retire(s)
	}
}
