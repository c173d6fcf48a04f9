package follow

import (
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// governInterval is how often it is looked at what probes cost.
const governInterval = 100 * time.Millisecond

// govern keeps what a program's probes cost within the budget, until the program is closed.
func (f *Follower) govern(p *program) {
	defer f.close(p)
	if f.options.Overhead.Budget == 0 {
		<-p.closed
		return
	}
	tick := time.NewTicker(governInterval)
	defer tick.Stop()
	for {
		select {
		case <-p.closed:
			return
		case <-f.stop:
			<-p.closed
			return
		case <-tick.C:
			f.regulate(p)
		}
	}
}

// regulate does what the governor decides.
func (f *Follower) regulate(p *program) {
	hit := f.engine.HitCost(p.binary).Most
	f.mu.Lock()
	ratio := p.governor.Ratio()
	if change, is := p.governor.Observe(p.observe(hit)); is {
		f.announce(p, change)
	}
	if p.governor.Ratio() != ratio {
		for _, q := range p.processes {
			f.withhold(q)
		}
	}
	if p.attachment != nil && (!p.governor.Attached() || p.syscalls != p.governor.Syscalls()) {
		f.suspend(p)
	}
	f.mu.Unlock()
	if p.attachment == nil && p.governor.Attached() {
		f.resume(p)
	}
}

// observe returns what the probes have cost since the last call, if each hit costs as much as it is told.
func (p *program) observe(hit time.Duration) overhead.Observation {
	now := lifecycle.Now()
	o := overhead.Observation{Elapsed: time.Duration(now - p.observed), Processes: make(map[int]overhead.Usage, len(p.processes))}
	p.observed = now
	for pid, q := range p.processes {
		o.Processes[pid] = q.usage(hit)
	}
	return o
}

// usage returns what the process used since the last call, and what the probes cost of that if each hit costs as much as it is told.
func (p *process) usage(hit time.Duration) overhead.Usage {
	now, hits := momentOf(p.PID), p.hits()
	u := overhead.Usage{CPU: max(now.cpu-p.measured.cpu, 0), Cost: time.Duration(hits-p.measuredHits) * hit}
	p.measured, p.measuredHits = now, hits
	return u
}

// hits returns how often probes have been hit since the process is followed, as far as can be told now.
func (p *process) hits() uint64 {
	n := p.past.seen.Counts
	if p.probe != nil {
		now, err := p.probe.Counts()
		if err != nil {
			return p.measuredHits
		}
		n.Add(now)
	}
	return n.Hits()
}

// announce tells of a change of level.
func (f *Follower) announce(p *program, c overhead.Change) {
	budget := f.options.Overhead.Budget
	for pid, q := range p.processes {
		share := p.governor.Share(pid)
		fields := []zap.Field{
			zap.Int("pid", pid), zap.Stringer("from", c.From), zap.Stringer("to", c.To), zap.Stringer("reason", c.Reason),
			zap.Float64("share", share), zap.Float64("budget", budget),
		}
		if c.PID != 0 && c.PID != pid {
			fields = append(fields, zap.Int("because_of", c.PID))
		}
		f.options.Logger.Info("What is seen of a process changes, as overhead demands or allows", fields...)
		f.changes = append(f.changes, levelChange{q.telemetry, telemetry.LevelChange{
			At: lifecycle.Now(), From: c.From.String(), To: c.To.String(), Reason: c.Reason.String(), Share: share, Budget: budget, Less: c.To > c.From,
		}})
	}
}

// levelChange is one of a process.
type levelChange struct {
	of *telemetry.Process
	telemetry.LevelChange
}

// suspend takes the probes away. What is known of goroutines ends with that.
func (f *Follower) suspend(p *program) {
	a := p.attachment
	if err := a.IgnoreNewcomers(); err != nil {
		f.options.Logger.Warn("New processes are still followed", zap.Error(err))
	}
	read, now := f.distributions(), lifecycle.Now()
	for _, q := range p.processes {
		if q.probe != nil {
			f.halt(q, read, now, lifecycle.Unfollowed)
		}
	}
	p.attachment = nil
	f.closing.Go(func() { // the kernel waits for tenths of a second; the program has no probes any more at once
		if err := a.Close(); err != nil {
			f.options.Logger.Warn("Probes could not be removed", zap.Error(err))
		}
	})
}

// resume puts the probes back.
func (f *Follower) resume(p *program) {
	attachment, err := f.engine.Attach(p.binary, p.path(), engine.AttachOptions{Syscalls: f.options.Syscalls && p.governor.Syscalls()})
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		for pid, q := range p.processes {
			f.found.RefuseFile(q.Process, err)
			f.leave(pid, lifecycle.Now(), lifecycle.Unfollowed)
		}
		return
	}
	p.attachment, p.syscalls = attachment, p.governor.Syscalls()
	for pid, q := range p.processes {
		if err := f.begin(q, f.follow); err != nil {
			f.refuse(q.Process, err)
			f.leave(pid, lifecycle.Now(), lifecycle.Unfollowed)
		}
	}
	f.followNewcomers(p)
}

// halt ends what is known of a process's goroutines.
func (f *Follower) halt(p *process, read distributions, at int64, why lifecycle.Ending) {
	did, err := p.stretch(read)
	if err != nil {
		f.options.Logger.Warn("The last figures of a process could not be read", zap.Int("pid", p.PID), zap.Error(err))
	}
	if did.Counts.EventsLost > 0 {
		f.end(p, p.tracker.Settle(lifecycle.Final, p.probe.Status)...)
	}
	f.end(p, p.tracker.Interrupt(at, why)...)
	ended := momentOf(p.PID)
	ended.at = at
	p.past.end(did, p.began, ended, time.Duration(did.Counts.Hits())*f.engine.HitCost(p.program.binary).Usual)
	if err := p.probe.Unfollow(); err != nil {
		f.options.Logger.Warn("What the kernel knows of a process could not be removed", zap.Int("pid", p.PID), zap.Error(err))
	}
	p.probe = nil
}

// withhold tells the kernel which of the trees that begin from now on are not sampled.
func (f *Follower) withhold(p *process) {
	if p.probe == nil {
		return
	}
	share := 1 - p.program.governor.Ratio()
	if p.muted {
		share = 1
	}
	if err := p.probe.Throttle(share); err != nil {
		f.options.Logger.Warn("Sampling could not be changed", zap.Int("pid", p.PID), zap.Error(err))
	}
}
