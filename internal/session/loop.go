//go:build linux

package session

import (
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

const (
	// burst is how many events, and how many ended lives, are handled before something else has its turn.
	burst = 4096
	// patience is how long events may lie unread if they are too few to wake the reader; idlePatience is that while there are none.
	patience, idlePatience = 50 * time.Millisecond, 250 * time.Millisecond
	// upkeepInterval is how often long lives are told of in segments, lost exits made good, and attachments removed that serve nobody.
	upkeepInterval = time.Second
	// drainLimit is how long something waits for all events before it to be handled, while they come faster than that.
	drainLimit = time.Second
)

// loop is the goroutine that owns all sessions. Its methods are called by itself only.
type loop struct {
	*Manager
	sessions  map[int]*session
	programs  map[programKey]*program
	newcomers map[int]*newcomer
	ending    map[*session]bool // over, but their last figures are not read yet
	early     int               // events that wait for a session to be ready
	working   int               // workers that run

	ended     []life                   // not yet handed to the sink
	final     []telemetry.ProcessStats // of processes that have ended, not yet collected
	handedOut []*program               // whose names the last collection needs
	retired   lifecycle.Counts         // of sessions that have ended
	drained   uint64                   // how often all events were handled that there were
	deferred  []deferred               // to be done when that is so again

	quiet      bool // no event has come of late
	nextUpkeep time.Time
	nextGovern time.Time
	governed   time.Duration // the interval before
}

// life is one of a goroutine that is over, or a segment of one.
type life struct {
	of        *telemetry.Process
	goroutine *lifecycle.Goroutine
}

// deferred is what must wait for the events before it, but no longer than to a time.
type deferred struct {
	do    func()
	until time.Time
}

func newLoop(m *Manager) *loop {
	return &loop{Manager: m, working: 1, governed: governInterval, sessions: map[int]*session{}, programs: map[programKey]*program{}, newcomers: map[int]*newcomer{}, ending: map[*session]bool{}}
}

// run handles events and what workers post until the Manager stops.
func (l *loop) run() {
	defer close(l.done)
	for l.ctx.Err() == nil {
		l.step()
	}
	l.shutDown()
}

// step handles what there is, or waits a little for something.
func (l *loop) step() {
	l.runPosted()
	more := l.readBurst()
	if !more {
		l.drained++
	}
	l.runDeferred(!more)
	now := time.Now()
	if !now.Before(l.nextUpkeep) {
		l.nextUpkeep = now.Add(upkeepInterval)
		l.upkeep()
	}
	if !now.Before(l.nextGovern) {
		l.nextGovern = now.Add(l.govern())
	}
	l.throttleAll()
	l.handOver()
	l.sink.Flush(false)
}

// runPosted does what workers have posted.
func (l *loop) runPosted() {
	for range cap(l.posted) {
		select {
		case f := <-l.posted:
			f(l)
		default:
			return
		}
	}
}

// readBurst handles events until there are no more for now, or as many as a burst has.
func (l *loop) readBurst() (more bool) {
	var e lifecycle.Event
	until := l.deadline()
	for n := range burst {
		ok, err := l.engine.Next(&e, until)
		if err != nil {
			l.options.Logger.Error("An event could not be read", zap.Error(err))
			return false
		}
		if !ok {
			l.quiet = n == 0
			return false
		}
		l.handle(&e)
	}
	l.quiet = false
	return true
}

// deadline returns until when to wait for an event.
func (l *loop) deadline() time.Time {
	now := time.Now()
	if len(l.ended) > 0 && !l.sink.Busy() || len(l.deferred) > 0 {
		return now
	}
	wait := patience
	if l.quiet {
		wait = idlePatience
	}
	until := now.Add(wait)
	for _, due := range []time.Time{l.nextUpkeep, l.nextGovern} {
		if due.Before(until) {
			until = due
		}
	}
	return until
}

// whenDrained does something when all events have been handled that lie before it.
func (l *loop) whenDrained(do func()) {
	l.deferred = append(l.deferred, deferred{do, time.Now().Add(drainLimit)})
}

func (l *loop) runDeferred(drained bool) {
	for len(l.deferred) > 0 && (drained || time.Now().After(l.deferred[0].until)) {
		next := l.deferred[0]
		l.deferred = l.deferred[1:]
		next.do()
	}
}

// handOver gives the sink what has ended, piece by piece: a process that ends may end hundreds of thousands of goroutines at once.
func (l *loop) handOver() {
	for range burst {
		if len(l.ended) == 0 || l.sink.Busy() {
			return
		}
		l.sink.Ended(l.ended[0].of, l.ended[0].goroutine)
		l.ended = l.ended[1:]
	}
}

// work has a worker do what may take long.
func (l *loop) work(f func()) {
	l.working++
	go func() {
		defer l.workerEnded()
		f()
	}()
}

// workerEnded tells the loop that a worker, which has posted all that it has to say, is not running any more.
func (m *Manager) workerEnded() { m.post(func(l *loop) { l.working-- }) }

// shutDown ends all sessions, and returns when all workers have ended.
func (l *loop) shutDown() {
	for _, s := range l.sessions {
		if s.window != nil {
			_, _ = s.window.Counts() // an engine that reads from time to time has read all that happened, then
		}
	}
	more, end := true, time.Now().Add(drainLimit)
	for more && time.Now().Before(end) {
		more = l.readBurst()
	}
	if more {
		l.options.Logger.Warn("Events come faster than they are read: the last ones before the end are missing from spans and log records")
	}
	now := l.host.Now()
	for _, s := range l.sessions {
		l.end(s, now, lifecycle.Unfollowed)
	}
	for _, e := range l.ended {
		l.sink.Ended(e.of, e.goroutine)
		l.sink.Flush(false)
	}
	l.ended = nil
	l.sink.Flush(true)
	l.final = nil
	l.awaitWorkers()
	l.registry.Close()
	l.closed = l.engine.Close()
}

// awaitWorkers does what the workers still post until there are none, and closes each program as soon as none attaches or detaches it.
func (l *loop) awaitWorkers() {
	for {
		l.runDeferred(true)
		for _, p := range l.programs {
			if p.settled() {
				l.closeProgram(p)
			}
		}
		if l.working == 0 {
			return
		}
		f := <-l.posted
		f(l)
	}
}
