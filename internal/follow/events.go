package follow

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
)

const (
	// burst is how many events are handled before what was gathered is handed on.
	burst = 4096
	// patience is how long events may lie unread if they are too few to wake the reader.
	patience = 50 * time.Millisecond
	// upkeepInterval is how often long lives are told of in segments, lost exits made good, and probes removed that serve nobody.
	upkeepInterval = time.Second
)

// drainLimit is for how long events are read at the end: a busy process makes them faster than they are read.
const drainLimit = time.Second

// read brings events to their goroutines, at the end until there are no more for the moment.
func (f *Follower) read() {
	var next, end time.Time
	for {
		more := f.readBurst()
		if !more {
			f.drained++
		}
		if now := time.Now(); now.After(next) {
			next = now.Add(upkeepInterval)
			f.upkeep()
		}
		f.ration()
		f.handOn()
		f.sink.Flush(false)
		select {
		case <-f.stop:
			if end.IsZero() {
				end = time.Now().Add(drainLimit)
			}
			if !more || time.Now().After(end) {
				return
			}
		default:
		}
	}
}

// readBurst handles events until there are no more for now, or as many as a burst has.
func (f *Follower) readBurst() (more bool) {
	var e lifecycle.Event
	until := time.Now().Add(patience)
	for range burst {
		ok, err := f.engine.Next(&e, until)
		if err != nil {
			f.options.Logger.Error("An event could not be read", zap.Error(err))
			return false
		}
		if !ok {
			return false
		}
		if f.handle(&e) {
			f.sink.Flush(false)
		}
	}
	return true
}

// handOn gives the sink what has ended, piece by piece: a process that ends may end hundreds of thousands of goroutines at once.
func (f *Follower) handOn() {
	f.mu.Lock()
	ended, left, changes := f.ended, f.left, f.changes
	f.ended, f.left, f.changes = nil, nil, nil
	f.mu.Unlock()
	for _, c := range changes {
		f.sink.Leveled(c.of, c.LevelChange)
	}
	for _, e := range ended {
		f.sink.Ended(e.of, e.goroutine)
		f.sink.Flush(false)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range left {
		f.detach(file)
	}
}

// handle brings an event to its goroutine and tells whether a life is over.
func (f *Follower) handle(e *lifecycle.Event) bool {
	if e.Kind == lifecycle.ProcessExecuted {
		select {
		case f.started <- execution{e.PID, e.Time}:
		default: // the sweep will see to it
		}
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Kind == lifecycle.ProcessFollowed {
		if err := f.welcome(e); err != nil {
			f.options.Logger.Warn("What the kernel knows of a process could not be removed", zap.Int("pid", e.PID), zap.Error(err))
		}
		return false
	}
	p := f.processes[e.PID]
	if p == nil {
		return false
	}
	if e.Kind == lifecycle.ProcessExited {
		if processes.SurvivesFirstThread(e.PID) {
			return false // a sweep will see its end
		}
		f.leave(e.PID, e.Time, lifecycle.ProcessExit)
		return false
	}
	if p.probe == nil || e.Time < p.began.at {
		return false // of a stretch that is over
	}
	ended := p.tracker.Handle(e)
	g := p.tracker.Get(e.G)
	if e.Kind == lifecycle.Exited {
		g = ended
	}
	if g != nil && e.Kind != lifecycle.Labelled {
		f.sink.Changed(p.telemetry, g, e)
	}
	if ended != nil {
		p.allowance.spend(1 + len(ended.Slices))
		f.sink.Ended(p.telemetry, ended)
		p.tracker.Recycle(ended)
	}
	return ended != nil
}

// ration lets new trees of goroutines be sampled as long as their process's allowance of spans lasts, and the sink takes what is gathered.
func (f *Follower) ration() {
	busy := f.sink.Busy()
	f.mu.Lock()
	defer f.mu.Unlock()
	now := lifecycle.Now()
	for _, p := range f.processes {
		spent := f.options.SpansPerSecond > 0 && !p.allowance.left(now)
		muted := spent || busy
		if muted == p.muted {
			continue
		}
		if spent && !p.wasMuted {
			f.options.Logger.Info("More spans than traces::max_spans_per_second: for moments, trees that begin are left out", zap.Int("pid", p.PID))
			p.wasMuted = true
		}
		p.muted = muted
		f.withhold(p)
	}
}

func (f *Follower) upkeep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeIdle(linger)
	now := lifecycle.Now()
	for _, p := range f.processes {
		f.end(p, p.tracker.Segments(now)...)
		if p.probe == nil {
			continue
		}
		counts, err := p.probe.Counts()
		if err != nil {
			f.options.Logger.Warn("Counts could not be read", zap.Int("pid", p.PID), zap.Error(err))
			continue
		}
		if counts.Untracked > 0 && !p.crowded {
			f.options.Logger.Warn("More goroutines than max_goroutines or max_goroutines_per_target leaves room for: some are not seen",
				zap.Int("pid", p.PID), zap.Uint64("times", counts.Untracked))
			p.crowded = true
		}
		if counts.Resynchronized > p.missed {
			p.missed = counts.Resynchronized
			if err := f.repair(p); err != nil {
				f.options.Logger.Warn("States of goroutines could not be put right", zap.Int("pid", p.PID), zap.Error(err))
			}
		}
		if counts.EventsLost > p.lost {
			if p.lost == 0 {
				f.options.Logger.Warn("Events of sampled goroutines are being lost: spans will miss states and say so. Metrics stay exact. "+
					"Lower traces::sampling_ratio", zap.Int("pid", p.PID), zap.Uint64("lost", counts.EventsLost))
			}
			p.lost = counts.EventsLost
		}
		if p.lost > 0 {
			f.end(p, p.tracker.Settle(f.drained, p.probe.Status)...)
		}
	}
}

// repair puts right what the kernel knows of a process in which changes of state were missed.
func (f *Follower) repair(p *process) error {
	at := lifecycle.Now()
	var living []engine.Goroutine
	if err := p.eachLiving(func(_ snapshot.Goroutine, k engine.Goroutine) error {
		living = append(living, k)
		return nil
	}); err != nil {
		return err
	}
	wrong, err := p.probe.Repair(at, living)
	f.withhold(p)
	if wrong > 0 {
		f.options.Logger.Info("States of goroutines were put right", zap.Int("pid", p.PID), zap.Int("goroutines", wrong))
	}
	return err
}

// eachLiving visits the goroutines of a snapshot of the process, until an error.
func (p *process) eachLiving(visit func(snapshot.Goroutine, engine.Goroutine) error) error {
	source := snapshot.Source{PID: p.PID, Binary: p.program.binary, Bias: p.bias}
	return source.Each(context.Background(), func(g snapshot.Goroutine) error {
		return visit(g, p.probe.AsSeen(engine.Goroutine{
			G: g.G, GoID: g.GoID, State: g.State, Reason: g.WaitReason, Since: lifecycle.Now(), CreationPC: g.CreationPC,
			System: p.look.IsSystem(g.StartPC),
		}))
	})
}

// adopt makes the goroutines known that the process has already.
func (f *Follower) adopt(p *process) error {
	return p.eachLiving(func(g snapshot.Goroutine, k engine.Goroutine) error {
		k.Sampled = f.options.Settings.Samples(p.program.governor.Ratio())
		adopted, err := p.probe.Adopt(k)
		if err != nil {
			return err
		}
		if !adopted || !k.Sampled {
			return nil
		}
		f.tell(p, &lifecycle.Event{
			Kind: lifecycle.Created, Time: k.Since, Since: k.Since, PID: p.PID, G: g.G, GoID: g.GoID, From: k.State, To: k.State,
			ToReason: k.Reason, System: k.System, Preexisting: true, Root: true,
			ParentGoID: g.ParentGoID, StartPC: g.StartPC, CreationPC: g.CreationPC,
		})
		return nil
	})
}

// tell hands an event that the follower itself knows to the goroutine's state machine.
func (f *Follower) tell(p *process, e *lifecycle.Event) {
	if ended := p.tracker.Handle(e); ended != nil {
		f.end(p, ended)
	}
}
