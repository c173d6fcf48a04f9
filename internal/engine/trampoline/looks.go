//go:build linux

package trampoline

import (
	"fmt"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// adopt makes a goroutine known that a look at the process's memory has found. It reports false if it is known already.
func (m *machine) adopt(k engine.Goroutine) (bool, error) {
	if m.goroutines.find(k.G) != nil {
		return false, nil
	}
	g := m.goroutines.insert(k.G)
	if g == nil {
		return false, fmt.Errorf("%w: goroutines", engine.ErrTooMany)
	}
	*g = entryOf(k)
	if !k.System {
		m.figures.enter(k.State, k.Since)
	}
	return true, nil
}

func entryOf(k engine.Goroutine) goroutine {
	g := goroutine{
		g: k.G, goid: k.GoID, created: k.Since, since: k.Since, startPC: k.StartPC, creationPC: k.CreationPC, state: k.State, reason: k.Reason,
		sampled: k.Sampled, system: k.System, preexisting: true,
	}
	g.enter(k.State)
	return g
}

// status tells of the goroutine that has g now: whether it still is the one with an id, and if not, when that one exited, 0 if that is not known.
func (m *machine) status(g, goid uint64) (alive bool, exited int64) {
	known := m.goroutines.find(g)
	switch {
	case known == nil, known.goid != goid && known.goid != 0:
		return false, 0
	case known.state == lifecycle.Dead:
		return false, known.since
	}
	return true, 0
}

// repair puts right what is known of goroutines by those that live, as a look that began at a time has found them. It returns how many were
// wrong.
func (m *machine) repair(at int64, living []engine.Goroutine) (wrong int) {
	addresses := make([]uint64, 0, len(living))
	for _, k := range living {
		addresses = append(addresses, k.G)
		if m.mend(k, at) {
			wrong++
		}
	}
	slices.Sort(addresses)
	m.goroutines.each(func(g *goroutine) {
		if g.state == lifecycle.Dead || g.since > at-engine.Settled {
			return
		}
		if _, lives := slices.BinarySearch(addresses, g.g); !lives {
			buried := *g
			buried.state, buried.since = lifecycle.Dead, at
			m.replace(g, buried)
			wrong++
		}
	})
	return wrong
}

// mend puts right what is known of a goroutine that lives, and tells whether it was wrong.
func (m *machine) mend(k engine.Goroutine, at int64) bool {
	g := m.goroutines.find(k.G)
	if g == nil {
		adopted, err := m.adopt(k)
		return err == nil && adopted
	}
	same := g.state != lifecycle.Dead && (g.goid == k.GoID || g.goid == 0 && g.creationPC == k.CreationPC)
	switch {
	case g.since > at-engine.Settled || same && g.state == k.State:
		return false
	case same:
		mended := *g
		mended.state, mended.reason, mended.since = k.State, k.Reason, k.Since
		mended.lost++
		m.replace(g, mended)
	default:
		m.replace(g, entryOf(k))
	}
	return true
}

// replace changes what is known of a goroutine, and the figures accordingly. Nobody knows how it spent the time since the last change that was
// seen: that counts for no state.
func (m *machine) replace(g *goroutine, by goroutine) {
	if g.state != lifecycle.Dead && !g.system {
		m.figures.leave(g.state, g.since)
		if g.created != by.created || by.state == lifecycle.Dead {
			m.figures.counts.Exited++
		}
	}
	m.labels.release(g)
	by.labels = 0
	if by.state != lifecycle.Dead && !by.system {
		m.figures.enter(by.state, by.since)
	}
	*g = by
}
