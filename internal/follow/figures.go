package follow

import (
	"errors"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/census"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/probe"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// maxFinished bounds how many processes that have ended await the next collection.
const maxFinished = 4096

// Figures returns the figures of all processes, with the last ones of those that have ended since the call before. What takes long is read
// while events go on.
func (f *Follower) Figures() ([]telemetry.Figures, error) {
	began := lifecycle.Now()
	histograms, err := f.tracer.Histograms()
	functions, functionsErr := f.functions()
	counted, censusErr := f.census()
	errs := []error{err, functionsErr, censusErr}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.finished
	f.finished = nil
	for _, p := range f.processes {
		if p.joined > began {
			continue // what was read of its slot is another's
		}
		figures, err := p.figures(histograms, functions, lifecycle.Now())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if c := counted[p.probe.Slot()]; c != nil && censusErr == nil {
			figures.Waiting, figures.Blocked, figures.Changes = c.Waiting, c.Blocked, p.watch.Update(c.Blocked)
		}
		all = append(all, figures)
	}
	return all, errors.Join(errs...)
}

// census counts the goroutines of all processes, one by one.
func (f *Follower) census() (map[probe.Slot]*census.Count, error) {
	if f.options.BlockedAfter == 0 {
		return nil, nil
	}
	counted := map[probe.Slot]*census.Count{}
	blockedBefore := lifecycle.Now() - int64(f.options.BlockedAfter)
	err := f.tracer.Residents(func(of probe.Slot, r census.Resident) {
		if counted[of] == nil {
			counted[of] = &census.Count{}
		}
		counted[of].Take(r, blockedBefore)
	})
	return counted, err
}

// functions are the lives by start function, nil if they are not asked for.
func (f *Follower) functions() (probe.Functions, error) {
	if !f.options.Settings.ByFunction {
		return nil, nil
	}
	return f.tracer.Functions()
}

func (p *process) figures(h probe.Histograms, functions probe.Functions, now int64) (telemetry.Figures, error) {
	counts, err := p.probe.Counts()
	return telemetry.Figures{
		Process: p.telemetry, Start: p.since, Time: now, Counts: counts, Histograms: h.Of(p.probe), Functions: functions.Of(p.probe),
	}, err
}

// retire keeps the last figures of a process that is left.
func (f *Follower) retire(p *process, at int64) {
	histograms, err := f.tracer.Histograms()
	functions, functionsErr := f.functions()
	if err = errors.Join(err, functionsErr); err == nil {
		var figures telemetry.Figures
		if figures, err = p.figures(histograms, functions, at); err == nil {
			addHealth(&f.retired, figures.Counts)
			figures.Counts.Live = [lifecycle.States]int64{}
			if len(f.finished) < maxFinished {
				f.finished = append(f.finished, figures)
			}
		}
	}
	if err != nil {
		f.options.Logger.Warn("The last figures of a process could not be read", zap.Int("pid", p.PID), zap.Error(err))
	}
}

// Health returns how many processes are followed and, over all that ever were, what the probes have seen and lost.
func (f *Follower) Health() (processes int, sum lifecycle.Counts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum = f.retired
	for _, p := range f.processes {
		if counts, err := p.probe.Counts(); err == nil {
			addHealth(&sum, counts)
		}
	}
	return len(f.processes), sum
}

func addHealth(to *lifecycle.Counts, n lifecycle.Counts) {
	to.Transitions += n.Transitions
	to.Repeats += n.Repeats
	to.Resynchronized += n.Resynchronized
	to.EventsLost += n.EventsLost
	to.Untracked += n.Untracked
	to.BucketsLost += n.BucketsLost
}
