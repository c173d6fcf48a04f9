//go:build linux

package trampoline

import (
	"runtime"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

const (
	// shortest and longest are how long the reader sleeps between two looks at all rings.
	shortest, longest = time.Millisecond, 4 * time.Millisecond
	// longestForLabels is the longest while a program uses labels, which are read of goroutines that still have them.
	longestForLabels = time.Millisecond
	// manyRecords is how many records of a process in one look make the next come soon.
	manyRecords = 1 << 11
	// recordsAtOnce bounds how many records of a process are read before others have their turn.
	recordsAtOnce = 1 << 16
	// fewRecords are read of a process while its records may wait for events to be read, of which there are too many.
	fewRecords = 1 << 6
	// beatInterval is how often trampolines are told that somebody reads; they believe it for patience.
	beatInterval, patience = 100 * time.Millisecond, 2 * time.Second
)

// read reads the rings of all processes until the engine is closed.
func (e *Engine) read() {
	runtime.LockOSThread() // whose processor time is looked at; it ends with this goroutine, as it is never unlocked
	hurryThread()
	pause, beaten, began := shortest, time.Time{}, time.Now()
	limit := budget{limit: e.options.CPU}
	sleep := time.NewTimer(pause)
	defer sleep.Stop()
	for {
		all := *e.list.Load()
		if time.Since(beaten) >= beatInterval {
			beaten = time.Now()
			e.beat(all)
			if limit.observe(time.Since(began), threadTime()) {
				e.summarize(all, limit.over)
			}
		}
		found, most := 0, longest
		for _, p := range all {
			n, labels := p.read()
			if found = max(found, n); labels {
				most = longestForLabels
			}
		}
		pause = min(nextPause(pause, found), most)
		if len(all) == 0 {
			pause = beatInterval
		}
		sleep.Reset(pause)
		select {
		case <-e.closed:
			return
		case <-e.hurry:
		case <-sleep.C:
		}
	}
}

// nextPause returns how long to sleep after a look that has found so many records of one process.
func nextPause(last time.Duration, found int) time.Duration {
	switch {
	case found >= recordsAtOnce:
		return 0
	case found >= manyRecords:
		return shortest
	}
	return min(2*max(last, shortest), longest)
}

// beat does what must be done all the time.
func (e *Engine) beat(all []*Process) {
	jumped := e.clock.sync()
	if jumped != nil {
		e.options.Logger.Warn("All processes are followed anew", zap.Error(jumped))
	}
	for _, p := range all {
		if jumped != nil {
			e.running.Go(p.beginAnew)
		} else {
			p.beat()
		}
	}
}

// summarize has only figures made of the records, or all again.
func (e *Engine) summarize(all []*Process, only bool) {
	e.summaries.Store(only)
	e.options.Logger.Info("What is made of trampolines' records changes, as overhead::collector demands or allows", zap.Bool("only_metrics", only))
	for _, p := range all {
		p.summarize()
	}
}

// beat lets the process's trampolines record for some more time.
func (p *Process) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.source != nil {
		p.source.beat()
		p.tellSilence()
	}
}

// silence is for how long memory must not have answered to be told of: any may take long where processors are wanted by many.
const silence = time.Second

// tellSilence tells once that the process does not let its memory be read. p.mu is held.
func (p *Process) tellSilence() {
	if p.silent || p.memory.guard.Silent() < silence {
		return
	}
	p.silent = true
	p.engine.options.Logger.Warn("A process keeps reads of its memory waiting: ids of threads and labels are missing for as long as it does",
		zap.Int("pid", p.machine.pid))
}

// read reads some of the process's records. It returns how many, and whether its goroutines have labels.
func (p *Process) read() (found int, labels bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.source == nil {
		return 0, false
	}
	if p.engine.queue.full() && p.source.hasRoom() {
		_, _ = p.source.pass(fewRecords) // only to see how many wait
		return manyRecords, false
	}
	found, _ = p.source.pass(recordsAtOnce)
	return found, p.machine.labels.used(lifecycle.Now())
}

// catchUp reads what was recorded until now. p.mu is held.
func (p *Process) catchUp() {
	if p.source == nil {
		return
	}
	for range passesToCatchUp {
		if _, more := p.source.pass(recordsAtOnce); !more {
			return
		}
	}
}

// passesToCatchUp bounds how long one who asks waits for what goes on being recorded meanwhile.
const passesToCatchUp = 8

// summarize has the process's machine make events or not, as the engine does.
func (p *Process) summarize() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catchUp()
	p.machine.summaries = p.engine.summaries.Load()
	p.configure()
}

// configure has the trampolines record what is wanted by now, and charges what that costs. p.mu is held.
func (p *Process) configure() {
	if p.source != nil {
		p.source.configure()
	}
	p.attachment.recordsStacks(p, p.machine.wantsStacks())
}

// readerNice is the nice value of the reader's thread: where programs want more processors than there are, it must have one every few milliseconds, or
// records are lost. How much of it it may take is bounded elsewhere.
const readerNice = -10

// hurryThread lets the calling thread run before others, if this process may.
func hurryThread() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), readerNice) }
