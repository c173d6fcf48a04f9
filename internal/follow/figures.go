package follow

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/census"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// maxFinished bounds how many processes that have ended await the next collection.
const maxFinished = 4096

// distributions is what is read of all processes at once.
type distributions struct {
	engine.Distributions
	err error
}

func (f *Follower) distributions() (d distributions) {
	d.Distributions, d.err = f.engine.Distributions()
	return d
}

// Figures returns the figures of all processes, with the last ones of those that have ended since the call before. What takes long is read
// while events go on.
func (f *Follower) Figures() ([]telemetry.Figures, error) {
	began := lifecycle.Now()
	read := f.distributions()
	looked, lookErr := f.looks()
	var counted tally
	if f.options.BlockedAfter > 0 {
		counted = f.teller.tell()
	}
	errs := []error{read.err, lookErr, counted.err}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.finished
	f.finished = nil
	for _, p := range f.processes {
		isNew := p.began.at > began // what was read of its slot is another's
		if isNew && p.past.lasted == 0 {
			continue
		}
		figures := f.figures(p, lifecycle.Now())
		if p.probe != nil && !isNew {
			did, err := p.stretch(read)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			figures.Add(did)
		}
		if c, ok := looked[p]; ok {
			figures.Found(c)
			figures.Changes = p.watch.Update(c.Blocked)
		} else if p.probe != nil && p.began.at <= counted.at {
			if c := counted.byID[p.probe.ID()]; c != nil && counted.err == nil {
				c.Fit(figures.Counts.Live[lifecycle.Waiting])
				figures.Waiting, figures.Blocked, figures.Changes = c.Waiting, c.Blocked, p.watch.Update(c.Blocked)
			}
		}
		all = append(all, figures)
	}
	return all, errors.Join(errs...)
}

// looks counts the goroutines of processes of which the probes do not always know.
func (f *Follower) looks() (map[*process]census.Count, error) {
	f.mu.Lock()
	var some []*process
	for _, p := range f.processes {
		if p.program.governor.Level() >= overhead.Windows {
			some = append(some, p)
		}
	}
	f.mu.Unlock()
	looked := map[*process]census.Count{}
	var errs []error
	for _, p := range some {
		c, err := p.look.Count(f.options.BlockedAfter)
		if err == nil {
			looked[p] = c
		} else if !errors.Is(err, unix.ESRCH) {
			errs = append(errs, err)
		}
	}
	return looked, errors.Join(errs...)
}

// stretch returns what has been seen of the process since it got its probe.
func (p *process) stretch(read distributions) (lifecycle.Totals, error) {
	counts, err := p.probe.Counts()
	of := read.Distributions[p.probe.ID()]
	return lifecycle.Totals{Counts: counts, Histograms: of.Histograms, Functions: of.Functions}, errors.Join(read.err, err)
}

// figures returns what is known of a process, but for the present stretch.
func (f *Follower) figures(p *process, now int64) telemetry.Figures {
	level := p.program.governor.Level()
	figures := telemetry.Figures{
		Process: p.telemetry, Start: p.since, Time: now, CountsOnly: level == overhead.Snapshots,
	}
	if p.past.estimated != nil {
		figures.Estimated = &lifecycle.Totals{}
		figures.Estimated.Add(*p.past.estimated)
	}
	if f.options.Overhead.Budget > 0 {
		figures.Overhead = &telemetry.Overhead{
			Level: level.String(), Share: p.program.governor.Share(p.PID), Coverage: telemetry.Coverage(p.program.governor.Coverage()),
		}
	}
	figures.Add(p.past.seen)
	return figures
}

// retire keeps the last figures of a process that is left.
func (f *Follower) retire(p *process, at int64) {
	f.retired.Add(p.past.seen.Counts)
	if len(f.finished) >= maxFinished {
		return
	}
	figures := f.figures(p, at)
	figures.Counts.Live = [lifecycle.States]int64{}
	figures.Last = true
	f.finished = append(f.finished, figures)
}

// Health returns how many processes are followed and, over all that ever were, what the probes have seen and lost.
func (f *Follower) Health() (processes int, sum lifecycle.Counts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum = f.retired
	for _, p := range f.processes {
		sum.Add(p.past.seen.Counts)
		if p.probe == nil {
			continue
		}
		if counts, err := p.probe.Counts(); err == nil {
			sum.Add(counts)
		}
	}
	return len(f.processes), sum
}
