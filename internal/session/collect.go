//go:build linux

package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// maxFinal bounds how many processes that have ended await the next collection.
const maxFinal = 4096

// collector is what the goroutine that calls Collect owns.
type collector struct {
	host    Host
	counts  countsCache
	lookers map[*session]*looker
}

func newCollector(m *Manager) collector {
	return collector{
		host:    m.host,
		counts:  countsCache{count: m.countGoroutines, start: func(f func()) { go f() }},
		lookers: map[*session]*looker{},
	}
}

// collected is what the loop tells of a session.
type collected struct {
	telemetry.ProcessStats
	of *session
	// What follows is copied from the session, which only the loop may read.
	pid     int
	program *program
	bias    uint64
	cpu     *cpuusage.Meter
	window  *window          // nil if there is none, or only since the distributions were read
	counts  lifecycle.Counts // of the window
	looked  bool             // its goroutines are to be counted by a look at the process's memory
}

// Collect returns the stats of all processes, with the last ones of those that have ended since the call before. Of processes that its
// error is about there are none. Only one goroutine may call it at a time.
func (m *Manager) Collect(ctx context.Context) ([]telemetry.ProcessStats, error) {
	began := m.host.Now()
	distributions, err := m.engine.Distributions()
	if err != nil {
		return nil, err
	}
	var counted goroutineCounts
	if m.options.BlockedAfter > 0 {
		counted = m.collector.counts.get()
	}
	var live []collected
	var all []telemetry.ProcessStats
	if !m.ask(ctx, func(l *loop) { live, all = l.collect(began) }) {
		return nil, ctx.Err()
	}
	looks := m.collector.look(ctx, live, m.options.BlockedAfter)
	errs := []error{counted.err}
	var known []collected
	for _, c := range live {
		if c.window != nil {
			of := distributions[c.window.ID()]
			c.ProcessStats.Add(lifecycle.Totals{Counts: c.counts, Histograms: of.Histograms, Functions: of.Functions, System: of.System, Runs: of.Runs, Lines: of.Lines})
		}
		if err := m.collector.fill(&c, looks[c.of], counted); err != nil {
			errs = append(errs, err)
			continue
		}
		c.CPU = c.cpu.Read()
		known = append(known, c)
	}
	m.findCreators(ctx, known)
	for i := range known {
		all = append(all, known[i].ProcessStats)
	}
	return all, errors.Join(errs...)
}

// fill adds how many goroutines there are where, by a look at the process's memory or as the engine knows them.
func (k *collector) fill(c *collected, l look, counted goroutineCounts) error {
	switch {
	case c.looked && l.err != nil:
		return fmt.Errorf("process %d: %w", c.pid, l.err)
	case c.looked:
		c.Found(l.count)
		c.Changes = k.lookers[c.of].watch.Update(l.count.Blocked)
	case c.window != nil && c.window.began.at <= counted.at && counted.err == nil:
		if n := counted.byID[c.window.ID()]; n != nil {
			n.LimitTo(c.Counts.Live[lifecycle.Waiting])
			c.Waiting, c.Blocked, c.Changes = n.Waiting, n.Blocked, k.lookers[c.of].watch.Update(n.Blocked)
		}
	}
	return nil
}

// looker looks at the memory of a session's process.
type looker struct {
	look    Look
	watch   waitstats.Watch
	looking chan look // nil while it does not
}

// look is what a looker has found.
type look struct {
	count waitstats.Count
	err   error
}

// patienceForLooks is how long a collection waits for looks. Of a million goroutines one takes tenths of a second, but there may be pages
// of memory that nobody provides.
const patienceForLooks = 2 * time.Second

var errLooking = errors.New("its memory cannot be read for now: an earlier attempt has not ended")

// look has the goroutines counted of those processes of which the engine does not always know them.
func (k *collector) look(ctx context.Context, live []collected, blockedAfter time.Duration) map[*session]look {
	ctx, cancel := context.WithTimeout(ctx, patienceForLooks)
	defer cancel()
	known := make(map[*session]*looker, len(live))
	for i := range live {
		c := &live[i]
		l := k.lookers[c.of]
		if l == nil {
			l = &looker{look: k.host.Look(c.pid, c.program.Binary, c.bias)}
		}
		known[c.of] = l
		if c.looked {
			l.start(blockedAfter)
		}
	}
	k.lookers = known
	found := map[*session]look{}
	for i := range live {
		if c := &live[i]; c.looked {
			found[c.of] = known[c.of].await(ctx)
		}
	}
	return found
}

// start begins to look, unless it does so still.
func (l *looker) start(blockedAfter time.Duration) {
	if l.looking != nil {
		return
	}
	looking := make(chan look, 1)
	l.looking = looking
	go func() {
		count, err := l.look.Count(context.Background(), blockedAfter) // a later collection takes what comes too late for this one
		looking <- look{count, err}
	}()
}

func (l *looker) await(ctx context.Context) look {
	select {
	case found := <-l.looking:
		l.looking = nil
		return found
	case <-ctx.Done():
		return look{err: errLooking}
	}
}

// collect returns what is known of all sessions, with their present counts, and the last stats of those that have ended. began is when the
// distributions were begun to be read.
func (l *loop) collect(began int64) (live []collected, final []telemetry.ProcessStats) {
	l.releaseCollected()
	final, l.final = l.final, nil
	for _, s := range l.sessions {
		if !s.ready {
			continue
		}
		c := collected{ProcessStats: l.stats(s, l.host.Now()), of: s, pid: s.PID, program: s.program, bias: s.bias, cpu: s.cpu, looked: s.isLookedAt()}
		if w := s.window; w != nil && w.began.at <= began {
			counts, err := w.Counts()
			if err != nil {
				continue
			}
			c.window, c.counts = w, counts
		} else if w != nil && s.past.windows == 0 {
			continue // it has only just been found: what was read is older
		}
		live = append(live, c)
		s.program.retain()
		l.handedOut = append(l.handedOut, s.program)
	}
	return live, final
}

// isLookedAt tells whether a session's goroutines are to be counted in the process's memory, as the engine does not know them all the time.
func (s *session) isLookedAt() bool {
	return s.program.governor.Level() >= overhead.Windows || s.window == nil && s.past.windows > 0
}

// releaseCollected lets go of the programs whose names the collection before needed.
func (l *loop) releaseCollected() {
	for _, p := range l.handedOut {
		p.release()
	}
	l.handedOut = nil
}

// stats returns what is known of a session, but for its present window.
func (l *loop) stats(s *session, now int64) telemetry.ProcessStats {
	level := s.program.governor.Level()
	f := telemetry.ProcessStats{Process: s.telemetry, Start: s.since, Time: now, Engine: s.program.engineName()}
	f.Estimated = s.past.estimate.Totals()
	f.SampledLines = s.lines.sums()
	if l.options.Overhead.Budget > 0 {
		f.Overhead = &telemetry.Overhead{
			Level: level.String(), Share: s.program.governor.Share(s.PID), Coverage: telemetry.Coverage(s.coverage()),
		}
	}
	f.Add(s.past.seen)
	return f
}

// retire keeps the last stats of a session that is over.
func (l *loop) retire(s *session) {
	delete(l.ending, s)
	l.retired.Add(s.past.seen.Counts)
	if !l.options.Collected || len(l.final) >= maxFinal || l.ctx.Err() != nil {
		s.program.release()
		return
	}
	f := l.stats(s, s.overAt)
	f.Counts.Live = [lifecycle.States]int64{}
	f.Last = true
	f.CPU = s.cpu.Last()
	f.Taken = func() { l.post(func(*loop) { s.program.release() }) }
	l.final = append(l.final, f)
}
