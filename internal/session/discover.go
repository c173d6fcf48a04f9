//go:build linux

package session

import (
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// scanInterval is the safety net under the events of processes that begin and end.
const scanInterval = 2 * time.Second

// discover finds processes: all from time to time, and those that have executed a program at once.
func (m *Manager) discover() {
	defer m.workerEnded()
	tick := time.NewTicker(scanInterval)
	defer tick.Stop()
	m.scan()
	for {
		select {
		case <-m.ctx.Done():
			return
		case pid := <-m.looks:
			if p, counts, _ := m.registry.Look(m.ctx, pid); counts {
				m.post(func(l *loop) { l.found(p) })
			}
		case <-tick.C:
			m.scan()
		}
	}
}

func (m *Manager) scan() {
	seen, err := m.registry.Scan(m.ctx)
	if err != nil && m.ctx.Err() == nil {
		m.options.Logger.Warn("Cannot list the processes", zap.Error(err))
		return
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
