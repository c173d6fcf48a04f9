//go:build linux

package processes

import (
	"errors"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// retry says when something that failed is tried again: after a time that doubles with each failure.
type retry struct {
	delay time.Duration
	next  time.Time
}

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// wait counts a failure. One long after the last is the first again.
func (t *retry) wait(now time.Time) {
	if now.Sub(t.next) > lastRetry {
		t.delay = 0
	}
	t.delay = min(max(2*t.delay, firstRetry), lastRetry)
	t.next = now.Add(t.delay)
}

func (t *retry) due(now time.Time) bool { return !now.Before(t.next) }

// refusal is of an executable file.
type refusal struct {
	retry
	final    bool
	reported string
}

func (r *refusal) holds(now time.Time) bool { return r != nil && (r.final || !r.due(now)) }

// maxRefused bounds the memory of files that were refused.
const maxRefused = 4096

// Refuse says that a process, and no other of its file, cannot be used. It is found again after a time, which doubles each time up to a
// minute.
func (r *Registry) Refuse(p Process, err error) {
	r.mu.Lock()
	defer r.unlock()
	if known := r.records[p.PID]; known != nil && known.Same(p) {
		r.postpone(known, err)
	}
}

// RefuseFile says that the executable of a process cannot be used: never, if the error is a goexe.FileError, otherwise not until a time
// has passed, which doubles each time up to a minute.
func (r *Registry) RefuseFile(p Process, err error) {
	if errors.Is(err, ErrNoProcess) {
		r.Refuse(p, err)
		return
	}
	r.mu.Lock()
	defer r.unlock()
	known := r.records[p.PID]
	if known == nil || !known.Same(p) || known.state != selected {
		return
	}
	file := known.File
	r.refuseFile(known, err)
	r.system.forget(file)
	for _, other := range r.records {
		if other.state == selected && other.File == file {
			r.refused[other.stamp] = r.refused[known.stamp]
			other.wait(r.refused[known.stamp], time.Now())
		}
	}
}

// refuseFile remembers that the executable of a process is refused.
func (r *Registry) refuseFile(known *record, err error) {
	x := r.refused[known.stamp]
	if x == nil {
		for old := range r.refused {
			if len(r.refused) < maxRefused {
				break
			}
			delete(r.refused, old)
		}
		x = &refusal{}
		r.refused[known.stamp] = x
	}
	now := time.Now()
	x.retry.wait(now)
	x.final = final(err)
	known.wait(x, now)
	r.report(&x.reported, known.Process, err)
}

// wait lets a process wait until its executable is not refused any more. That a file is refused for good is looked at again too, but ever
// more rarely: it may have been changed.
func (k *record) wait(x *refusal, now time.Time) {
	k.state, k.File = refused, 0 // it gets another number when it is tried again
	if k.retry.wait(now); !x.final {
		k.retry.next = x.retry.next
	}
}

// postpone remembers that a process is refused.
func (r *Registry) postpone(known *record, err error) {
	known.retry.wait(time.Now())
	r.report(&known.reported, known.Process, err)
}

// report reports an error that was not the last to be reported of the same.
func (r *Registry) report(last *string, p Process, err error) {
	if text := err.Error(); text != *last && r.worthAWord(p, err) {
		*last = text
		r.problems = append(r.problems, problem{p, err})
	}
}

// final tells whether an error is the file's own, for good.
func final(err error) bool {
	var byFile goexe.FileError
	return errors.As(err, &byFile)
}

// worthAWord tells whether it is a problem that a process is refused: that others which happen to match are no Go programs is none.
func (r *Registry) worthAWord(p Process, err error) bool {
	switch {
	case errors.Is(err, ErrNoProcess):
		return false
	case errors.Is(err, goexe.ErrNotGo):
		return r.options.Selection.Names(p)
	}
	return true
}
