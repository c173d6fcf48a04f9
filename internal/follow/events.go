package follow

import (
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/probe"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
)

const (
	// burst is how many events are handled before what was gathered is handed on.
	burst = 4096
	// upkeepInterval is how often long lives are told of in segments, lost exits made good, and probes removed that serve nobody.
	upkeepInterval = time.Second
)

// read brings events to their goroutines, at the end until there are no more.
func (f *Follower) read() {
	var next time.Time
	for {
		more := f.readBurst()
		if !more {
			f.drained++
		}
		if now := time.Now(); now.After(next) {
			next = now.Add(upkeepInterval)
			f.upkeep()
		}
		f.handOn()
		f.sink.Flush(f.stop, false)
		select {
		case <-f.stop:
			if !more {
				return
			}
		default:
		}
	}
}

// readBurst handles events until there are no more for now, or as many as a burst has.
func (f *Follower) readBurst() (more bool) {
	var e lifecycle.Event
	for range burst {
		ok, err := f.tracer.Read(&e)
		if err != nil {
			f.options.Logger.Error("An event could not be read", zap.Error(err))
			return false
		}
		if !ok {
			return false
		}
		if f.handle(&e) {
			f.sink.Flush(f.stop, false)
		}
	}
	return true
}

// handOn gives the sink what has ended, piece by piece: a process that ends may end hundreds of thousands of goroutines at once.
func (f *Follower) handOn() {
	f.mu.Lock()
	ended, left := f.ended, f.left
	f.ended, f.left = nil, nil
	f.mu.Unlock()
	for _, e := range ended {
		f.sink.Ended(e.of, e.goroutine)
		f.sink.Flush(f.stop, false)
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
	p := f.processes[e.PID]
	if p == nil {
		return false
	}
	if e.Kind == lifecycle.ProcessExited {
		f.leave(e.PID, e.Time, lifecycle.ProcessExit)
		return false
	}
	ended := p.tracker.Handle(e)
	g := p.tracker.Get(e.G)
	if e.Kind == lifecycle.Exited {
		g = ended
	}
	if g != nil {
		f.sink.Changed(p.telemetry, g, e)
	}
	if ended != nil {
		f.sink.Ended(p.telemetry, ended)
	}
	return ended != nil
}

func (f *Follower) upkeep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeIdle(linger)
	now := lifecycle.Now()
	for _, p := range f.processes {
		f.end(p, p.tracker.Segments(now)...)
		counts, err := p.probe.Counts()
		if err != nil {
			f.options.Logger.Warn("Counts could not be read", zap.Int("pid", p.PID), zap.Error(err))
			continue
		}
		if counts.EventsLost > p.lost {
			if p.lost == 0 {
				f.options.Logger.Warn("Events of sampled goroutines are being lost: spans will miss states and say so. Metrics stay exact. "+
					"Lower traces::sampling_ratio", zap.Int("pid", p.PID), zap.Uint64("lost", counts.EventsLost))
			}
			p.lost = counts.EventsLost
		}
		if p.lost > 0 {
			f.end(p, p.tracker.Settle(f.drained, p.probe.Fate)...)
		}
	}
}

// adopt makes the goroutines known that the process has already.
func (f *Follower) adopt(p *process, bias uint64) error {
	existing, err := snapshot.Read(p.PID, p.program.binary, bias)
	if err != nil {
		return err
	}
	now := lifecycle.Now()
	system := map[uint64]bool{}
	for _, pc := range p.program.binary.SystemStarts {
		system[pc+bias] = true
	}
	for _, x := range existing {
		state := x.State
		known := probe.Known{
			G: x.G, GoID: x.GoID, State: state, Reason: x.WaitReason, Since: now, CreationPC: x.CreationPC,
			System:  system[x.StartPC],
			Sampled: f.options.Settings.Samples(),
		}
		adopted, err := p.probe.Adopt(known)
		if err != nil {
			return err
		}
		if !adopted || !known.Sampled {
			continue
		}
		f.tell(p, &lifecycle.Event{
			Kind: lifecycle.Created, Time: now, Since: now, PID: p.PID, G: x.G, GoID: x.GoID, From: state, To: state,
			ToReason: x.WaitReason, System: known.System, Preexisting: true, Root: true,
			ParentGoID: x.ParentGoID, StartPC: x.StartPC, CreationPC: x.CreationPC,
		})
	}
	return nil
}

// tell hands an event that the follower itself knows to the goroutine's state machine.
func (f *Follower) tell(p *process, e *lifecycle.Event) {
	if ended := p.tracker.Handle(e); ended != nil {
		f.end(p, ended)
	}
}
