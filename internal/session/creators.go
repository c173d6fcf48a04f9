//go:build linux

package session

import (
	"context"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// findCreators adds from where goroutines were created of places at which they have begun to be blocked, as far as that is known.
func (m *Manager) findCreators(ctx context.Context, live []collected) {
	var blocked []*collected
	for i := range live {
		if len(live[i].Changes.Began) > 0 {
			blocked = append(blocked, &live[i])
		}
	}
	if len(blocked) == 0 {
		return
	}
	m.ask(ctx, func(*loop) {
		for _, c := range blocked {
			c.Creators = c.of.creators(c.Changes.Began)
		}
	})
}

// creators returns from where the followed goroutines were created that wait at some places.
func (s *session) creators(at []waitstats.Blocked) telemetry.Creators {
	if s.tracker == nil {
		return nil
	}
	found := telemetry.Creators{}
	for _, b := range at {
		found[b.Site] = map[*lifecycle.Stack]int64{}
	}
	s.tracker.Creators(func(reason uint8, creationPC uint64, creator *lifecycle.Stack) {
		if counts := found[waitstats.Site{Reason: reason, CreationPC: creationPC}]; counts != nil {
			counts[creator]++
		}
	})
	return found
}
