//go:build linux

package uprobe

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

const (
	// measureFor is how long the kernel measures the programs at a time, and fewestHits how many runs of them tell what one takes.
	measureFor = 100 * time.Millisecond
	fewestHits = 100
	// soonest and latest are how long after one time the next is considered, at first and when nothing has changed for long; shortly is how
	// long after the programs are known to do something else, if that is not sooner than soonest.
	shortly, soonest, latest = 200 * time.Millisecond, time.Second, time.Minute
	// changeOfCost is by which part what a run takes must have changed to be measured sooner again.
	changeOfCost = 0.2
)

// measureCosts keeps the costs up to date until the engine is closed.
func (t *Engine) measureCosts() {
	traps, err := MeasureTraps()
	if err != nil {
		t.options.Logger.Warn("What probes cost is assumed, not measured", zap.Error(err))
		traps = assumedTraps
	}
	t.costs.mu.Lock()
	t.costs.traps, t.costs.run = traps, traps[goexe.Emulated]
	t.costs.mu.Unlock()
	t.options.Logger.Info("What the kernel takes for a hit of a probe that does nothing", zap.Int64("nop_ns", traps[goexe.Nop5].Nanoseconds()),
		zap.Int64("emulated_ns", traps[goexe.Emulated].Nanoseconds()), zap.Int64("emulated_push_ns", traps[goexe.EmulatedPush].Nanoseconds()),
		zap.Int64("single_stepped_ns", traps[goexe.SingleStepped].Nanoseconds()))
	if err := t.costs.keepMeasuring(t, t.closed); err != nil {
		t.options.Logger.Warn("What probes cost is assumed, not measured", zap.Error(err))
	}
}

// programs are what can be measured.
type programs interface {
	// hits returns how often they have run.
	hits() (uint64, error)
	// runTimeOf lets the kernel measure for a while how long they run: of all on the machine, which costs each of their runs time, and each
	// processor an interrupt at both ends.
	runTimeOf(time.Duration) (sum time.Duration, runs uint64, err error)
}

// keepMeasuring measures how long the programs run, while they run so often that this matters, until done.
func (c *costs) keepMeasuring(p programs, done <-chan struct{}) error {
	wait, next := soonest, time.Now().Add(soonest)
	var measured time.Time
	var seen rate
	if _, err := seen.update(p); err != nil {
		return err
	}
	for {
		select {
		case <-done:
			return nil
		case <-c.changed:
			wait = soonest
			next = earlier(next, later(time.Now().Add(shortly), measured.Add(soonest)))
			continue
		case <-time.After(time.Until(next)):
			wait = min(2*wait, latest)
		}
		perSecond, err := seen.update(p)
		if err != nil {
			return err
		}
		if perSecond*measureFor.Seconds() >= fewestHits {
			changed, err := c.measure(p)
			if err != nil {
				return err
			}
			if measured = time.Now(); changed {
				wait = soonest
			}
		}
		next = time.Now().Add(wait)
	}
}

// rate is how often the programs run.
type rate struct {
	hits uint64
	at   time.Time
}

// update returns how many hits there were in a second since the last call.
func (r *rate) update(p programs) (perSecond float64, err error) {
	hits, err := p.hits()
	if err != nil {
		return 0, err
	}
	now := time.Now()
	if hits > r.hits && !r.at.IsZero() { // of processes that end, hits are no longer told
		perSecond = float64(hits-r.hits) / now.Sub(r.at).Seconds()
	}
	r.hits, r.at = hits, now
	return perSecond, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// measure measures how long a run takes, and tells whether that has changed.
func (c *costs) measure(p programs) (changed bool, err error) {
	sum, runs, err := p.runTimeOf(measureFor)
	if err != nil || runs < fewestHits {
		return false, err
	}
	run := sum / time.Duration(runs)
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = (run - c.run).Abs().Seconds() > changeOfCost*c.run.Seconds()
	c.run = run
	return changed, nil
}

// haveChanged has it measured again soon what hits cost.
func (c *costs) haveChanged() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// hits returns how often probes have been hit, of processes that are followed and of others, give or take those that have ended.
func (t *Engine) hits() (sum uint64, err error) {
	for _, index := range t.executables.inUse() {
		n, err := t.hitsOfOthers(index)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	for _, slot := range t.slots.inUse() {
		n, err := t.hitsInSlot(slot)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// runTimeOf lets the kernel measure the programs.
func (t *Engine) runTimeOf(while time.Duration) (sum time.Duration, runs uint64, err error) {
	on, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return 0, 0, fmt.Errorf("let the kernel measure the programs: %w", err)
	}
	defer on.Close()
	before, runsBefore, err := t.runTime()
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(while)
	sum, runs, err = t.runTime()
	return sum - before, runs - runsBefore, err
}

// runTime returns how long and how often the programs have run while the kernel measured them.
func (t *Engine) runTime() (sum time.Duration, runs uint64, err error) {
	stats, err := t.objects.OnChange.Stats()
	if err != nil {
		return 0, 0, fmt.Errorf("how long the program has run: %w", err)
	}
	return stats.Runtime, stats.RunCount, nil
}
