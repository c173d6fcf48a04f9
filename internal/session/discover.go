//go:build linux

package session

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Scans are the safety net under the events of processes that begin and end. They come after scanInterval, and after ever longer up to
// longestScanInterval while they find nothing new: each costs as much as there are processes on the machine.
const scanInterval, longestScanInterval = 2 * time.Second, 8 * time.Second

// discover finds processes: all from time to time, and those that have executed a program at once.
func (m *Manager) discover() {
	defer m.workerEnded()
	known := m.scan(nil)
	interval := scanInterval
	next := time.NewTimer(interval)
	defer next.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case pid := <-m.looks:
			if p, counts, _ := m.registry.Look(m.ctx, pid); counts {
				m.post(func(l *loop) { l.found(p) })
			}
		case <-next.C:
			found := m.scan(known)
			interval = min(2*interval, longestScanInterval)
			if !slices.Equal(found, known) {
				known, interval = found, scanInterval
			}
			next.Reset(interval)
		}
	}
}

// scan looks at all processes and returns the ids of those that count, in ascending order: those that are known if that fails.
func (m *Manager) scan(known []int) []int {
	seen, err := m.registry.Scan(m.ctx)
	if err != nil {
		if m.ctx.Err() == nil {
			m.options.Logger.Warn("Cannot list the processes", zap.Error(err))
		}
		return known
	}
	m.post(func(l *loop) {
		for _, p := range seen.Found {
			l.found(p)
		}
		for pid, s := range l.sessions {
			if _, lives := seen.Live[pid]; !lives {
				l.missing(s)
			}
		}
	})
	var found []int
	for _, p := range seen.Found {
		found = append(found, p.PID)
	}
	slices.Sort(found)
	return found
}

// look has discover look at a process soon.
func (m *Manager) look(pid int) {
	select {
	case m.looks <- pid:
	default: // the next scan will see to it
	}
}

// missing ends the session of a process that two scans have not found. At the first, events of its last moments, and of its end itself,
// may still be on their way.
func (l *loop) missing(s *session) {
	if s.missing {
		l.end(s, l.host.Now(), lifecycle.ProcessExit)
	}
	s.missing = true
}
