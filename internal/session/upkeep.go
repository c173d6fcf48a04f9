//go:build linux

package session

import (
	"errors"
	"os"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
)

// upkeep does what is due from time to time.
func (l *loop) upkeep() {
	l.closeIdle()
	now := l.host.Now()
	told := len(l.ended) == 0 // what the sink has no room for yet must not become more
	for _, s := range l.sessions {
		if !s.ready {
			continue
		}
		if told {
			l.tell(s, s.tracker.Segments(now, s.spans.forSegments(now))...)
		}
		if s.window != nil {
			l.check(s)
			l.lookAtChannels(s)
		}
	}
	l.publishHealth()
}

// lookAtChannels has a worker find out for which channels goroutines wait at home.
func (l *loop) lookAtChannels(s *session) {
	if s.looking {
		return
	}
	tracker, pid, binary, bias := s.tracker, s.PID, s.program.Binary, s.bias
	items, _ := s.window.Process.(engine.ItemFollower)
	if items != nil {
		for _, address := range tracker.Unused() {
			items.LeaveItems(address)
		}
	}
	asked := tracker.Asked()
	if len(asked) == 0 {
		return
	}
	s.looking = true
	l.work(func() {
		for i := range asked {
			a := &asked[i]
			if a.Channels == nil {
				a.Channels = l.host.Channels(l.ctx, pid, binary, bias, a.G, a.GoID)
			}
			followItems(items, a.Channels)
		}
		l.post(func(*loop) {
			s.looking = false
			for _, a := range asked {
				tracker.Learn(a)
			}
		})
	})
}

// followItems has the engine tell of what goes through the buffers of channels, if it can.
func followItems(by engine.ItemFollower, channels []lifecycle.Hchan) {
	for i := range channels {
		if c := &channels[i]; by != nil && c.Size > 0 {
			c.Since = by.FollowItems(c.Address, c.Size)
		}
	}
}

// publishHealth sums up what Health returns.
func (l *loop) publishHealth() {
	sum := health{counts: l.retired}
	for _, s := range l.sessions {
		if !s.ready {
			continue
		}
		sum.processes++
		sum.counts.Add(s.counts())
	}
	for s := range l.ending {
		sum.counts.Add(s.counts())
	}
	l.health.Store(&sum)
}

// counts returns what the engine has seen of a session: in its present window what was read last, if it cannot be read now.
func (s *session) counts() lifecycle.Counts {
	sum := s.past.seen.Counts
	if s.window != nil {
		counts, _ := s.window.Counts()
		sum.Add(counts)
	}
	return sum
}

// check looks for what the engine has lost or missed of a session.
func (l *loop) check(s *session) {
	w := s.window
	counts, err := w.Counts()
	if err != nil {
		l.options.Logger.Warn("Counts could not be read", zap.Int("pid", s.PID), zap.Error(err))
		return
	}
	if counts.Untracked > 0 && !w.crowded {
		w.crowded = true
		l.options.Logger.Warn("More goroutines than max_goroutines or max_goroutines_per_target leaves room for: some are not seen",
			zap.Int("pid", s.PID), zap.Uint64("times", counts.Untracked))
	}
	if counts.Resynchronized > w.missed && !w.closing && !w.repairing {
		w.missed, w.repairing = counts.Resynchronized, true
		l.repair(s)
	}
	if counts.EventsLost > w.lost {
		if w.lost == 0 {
			l.options.Logger.Warn("Events of sampled goroutines are being lost: spans will miss states and say so. "+
				"Lower traces::sampling_ratio", zap.Int("pid", s.PID), zap.Uint64("lost", counts.EventsLost))
		}
		w.lost = counts.EventsLost
	}
	if w.lost > 0 {
		l.tell(s, s.tracker.Settle(l.drained, w.Status)...)
	}
}

// repair has a worker put right what the engine knows of a process in which changes of state were missed.
func (l *loop) repair(s *session) {
	w, pid, bias := s.window, s.PID, s.bias
	l.work(func() {
		at := l.host.Now()
		var living []engine.Goroutine
		err := l.eachLiving(pid, s.program, bias, false, func(found []snapshot.Goroutine) {
			for _, g := range found {
				living = append(living, l.asSeen(w, s.program, bias, g))
			}
		})
		wrong := 0
		if err == nil {
			wrong, err = w.Repair(at, living)
		}
		switch {
		case errors.Is(err, os.ErrClosed): // it is not followed any more
		case err != nil:
			l.options.Logger.Warn("States of goroutines could not be put right", zap.Int("pid", pid), zap.Error(err))
		case wrong > 0:
			l.options.Logger.Info("States of goroutines were put right", zap.Int("pid", pid), zap.Int("goroutines", wrong))
		}
		l.post(func(l *loop) {
			w.repairing = false
			if s.window == w {
				l.throttle(s)
			}
		})
	})
}

// throttleAll lets new trees of goroutines be sampled as long as their process's budget of spans lasts, and the sink takes what there is.
func (l *loop) throttleAll() {
	now, busy := l.host.Now(), l.sink.Busy()
	for _, s := range l.sessions {
		spent := busy || s.spans.rate > 0 && s.spans.left(now) == 0
		if spent == s.spans.spent {
			continue
		}
		if spent && !busy && !s.spans.told {
			l.options.Logger.Info("More spans than traces::max_spans_per_second: for moments, trees that begin are left out", zap.Int("pid", s.PID))
			s.spans.told = true
		}
		s.spans.spent = spent
		if s.ready {
			s.tracker.Withhold(spent)
		}
		l.throttle(s)
	}
}

// throttle tells the engine which of the trees that begin from now on are not sampled.
func (l *loop) throttle(s *session) {
	if s.window == nil || s.window.closing {
		return
	}
	share := 1 - s.program.governor.Ratio()
	if p, can := s.window.Process.(engine.EventPauser); can {
		p.PauseEvents(s.program.governor.Ratio() == 0)
	}
	if s.spans.spent {
		share = 1
	}
	if err := s.window.Throttle(share); err != nil {
		l.options.Logger.Warn("Sampling could not be changed", zap.Int("pid", s.PID), zap.Error(err))
	}
}
