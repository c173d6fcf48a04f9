//go:build linux

package processes

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// record is what is known of a process.
type record struct {
	Process
	link       string // what the kernel showed as its executable
	state      state
	stamp      stamp // of its executable, if it counts
	retry      retry // when it is looked at or found again
	reported   string
	inspecting *inspection // nil while nothing is done
}

// state says what is to be done with a process.
type state int

const (
	unknown  state = iota
	rejected       // does not count, as far as is known: what it tells of itself and its control groups may change
	failed         // counts, and its executable could not be looked at
	refused        // counts, and its executable is refused
	selected
)

// usable tells whether a process is to be used now.
func (k *record) usable(now time.Time) bool { return k.state == selected && k.retry.due(now) }

// inspection is a look at a process, which may wait for its executable's file system, or for its memory.
type inspection struct {
	pid   int
	began time.Time
	done  chan struct{} // closed at the end
	err   error         // set before
	again bool          // the process has executed a program meanwhile; guarded by Registry.mu
}

func (i *inspection) ended() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}

// ErrNoAnswer is wrapped by the error about a process that cannot be looked at without waiting, as its executable's file system does not
// answer.
var ErrNoAnswer = errors.New("no answer")

func noAnswer(pid int) error {
	return fmt.Errorf("%w: process %d, or the file system of its executable", ErrNoAnswer, pid)
}

const (
	// patience is for how long inspections are waited for while none ends.
	patience = 250 * time.Millisecond
	// silence is after what time an inspection is reported that does not end.
	silence = 5 * time.Second
	// maxInspections bounds the threads that wait for the kernel.
	maxInspections = 64
)

// await waits until all inspections are done, or no further one is.
func await(ctx context.Context, begun []<-chan struct{}) {
	ended := make(chan struct{}, len(begun))
	for _, done := range begun {
		go func() {
			<-done
			ended <- struct{}{}
		}()
	}
	still := time.NewTimer(patience)
	defer still.Stop()
	for range begun {
		select {
		case <-ended:
			still.Reset(patience)
		case <-still.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// reportSilence reports a process whose inspection does not end.
func (r *Registry) reportSilence(known *record, now time.Time) {
	if i := known.inspecting; i != nil && now.Sub(i.began) >= silence {
		known.PID = i.pid
		r.report(&known.reported, known.Process, noAnswer(i.pid))
	}
}

// consider begins to inspect a process if there is reason to; otherwise it returns nil.
func (r *Registry) consider(pid int) *inspection {
	r.mu.Lock()
	var known record
	if k := r.records[pid]; k != nil {
		known = *k
	}
	r.mu.Unlock()
	if known.inspecting != nil || !r.changed(pid, &known) {
		return nil
	}
	_, i := r.begin(pid)
	return i
}

// changed tells whether a process may not be what is known of it any more. It asks the kernel for no more than it must, as it does so for
// each process of the machine at each scan.
func (r *Registry) changed(pid int, known *record) bool {
	switch known.state {
	case unknown:
		return true
	case selected:
		p, err := r.system.read(pid)
		return errors.Is(err, ErrNoProcess) || err == nil && (!p.Same(known.Process) || p.Executable != known.Executable)
	}
	return known.retry.due(time.Now()) || r.system.link(pid) != known.link
}

// begin inspects a process in the background.
func (r *Registry) begin(pid int) (*record, *inspection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.records[pid]
	if known == nil {
		known = &record{}
		r.records[pid] = known
	}
	if known.inspecting != nil {
		known.inspecting.again = true
		return known, known.inspecting
	}
	i := &inspection{pid: pid, began: time.Now(), done: make(chan struct{})}
	known.inspecting = i
	go r.inspect(known, i)
	return known, i
}

func (r *Registry) inspect(known *record, i *inspection) {
	for {
		v := r.examine(i.pid)
		r.mu.Lock()
		if i.again {
			i.again = false
			r.mu.Unlock()
			continue
		}
		r.conclude(known, v)
		known.inspecting, i.err = nil, v.err
		close(i.done)
		r.mu.Unlock()
		return
	}
}

// verdict is what an inspection found.
type verdict struct {
	Process
	link  string
	state state
	stamp stamp
	err   error // of a process that failed, or is none
}

// examine looks at a process. Of one that does not count, no file is touched.
func (r *Registry) examine(pid int) (v verdict) {
	r.slots.use(func() {
		v.link, v.state = r.system.link(pid), rejected
		if v.Process, v.err = r.system.read(pid); v.err == nil && r.selects(v.Process) {
			v.state = failed
		}
	})
	if v.state == rejected {
		return v
	}
	defer r.turn(place{r.system.mounts(pid), v.Executable})()
	r.slots.use(func() {
		if v.stamp, v.err = r.system.stamp(v.Process); v.err != nil {
			return
		}
		if r.refuses(v.stamp) {
			v.state = refused
			return
		}
		if v.File, v.err = r.system.identify(v.Process); v.err != nil {
			return
		}
		if now, err := r.system.read(pid); err != nil || !now.Same(v.Process) {
			v.err = fmt.Errorf("%w any more: %d executes another program", ErrNoProcess, pid)
			return
		}
		v.state = selected
	})
	return v
}

func (r *Registry) refuses(s stamp) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused[s].holds(time.Now())
}

// conclude makes an inspection's verdict what is known of a process.
func (r *Registry) conclude(known *record, v verdict) {
	now := time.Now()
	if v.state == rejected && v.err != nil && !errors.Is(v.err, ErrNoProcess) { // the kernel has not told anything
		known.retry.wait(now)
		return
	}
	if !known.Same(v.Process) || known.state == rejected && v.state != rejected {
		known.retry, known.reported = retry{}, ""
	}
	if known.Same(v.Process) && v.state == rejected {
		v.File = known.File // whoever has followed it may do so still
	}
	if known.state != selected && v.state == selected {
		known.retry.next = time.Time{}
	}
	known.Process, known.link, known.state, known.stamp = v.Process, v.link, v.state, v.stamp
	switch x := r.refused[v.stamp]; {
	case v.state == rejected:
		known.retry.wait(now)
	case v.state == refused && x != nil:
		known.wait(x, now)
	case v.state == failed && final(v.err):
		r.refuseFile(known, v.err)
	case v.state == failed:
		r.postpone(known, v.err)
	}
}
