//go:build linux

package trampoline

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

const (
	batchEvents = 256
	// spareBatches is how many are kept for the next events.
	spareBatches = 32
	// batchStacks is how many return addresses a batch has room for: half of the most that its events could have.
	batchStacks = batchEvents * stackFrames / 2
	// busyShare is the part of the queue from which on no new tree is sampled, reservedShare the part that is kept for creations and exits.
	busyShare, reservedShare = 2, 4
)

// batch is some events, which are handed over together.
type batch struct {
	events [batchEvents]lifecycle.Event
	n      int
	stacks []uint64
}

// queue holds the events that nobody has read yet. Its memory is used again and again.
type queue struct {
	capacity int64
	waiting  atomic.Int64
	ready    chan struct{} // has room for one: there is something to read
	woken    chan struct{} // has room for one: Next is to return
	tell     func()        // is called when there is something to read

	producing sync.Mutex // is held by who adds events; guards current
	current   *batch

	mu           sync.Mutex // guards filled and free
	filled, free []*batch

	reading *batch // belongs, with next, to the reader
	next    int
}

// bytesAnEvent is what the smallest event takes in the buffer of the kernel's engine: of as many bytes, this one has room for as many. They take some
// four times as much here, but only while they wait.
const bytesAnEvent = 64

func newQueue(bytes int, tell func()) *queue {
	capacity := max(int64(bytes)/bytesAnEvent, batchEvents)
	return &queue{capacity: capacity, ready: make(chan struct{}, 1), woken: make(chan struct{}, 1), tell: tell}
}

// busy tells whether the reader cannot keep up.
func (q *queue) busy() bool { return q.waiting.Load() > q.capacity/busyShare }

// full tells whether what is not vital finds no room.
func (q *queue) full() bool { return q.waiting.Load() >= q.capacity-q.capacity/reservedShare }

// begin lets the caller add events until end.
func (q *queue) begin() { q.producing.Lock() }

// add returns room for an event, nil if there is none. What is vital finds room longer.
func (q *queue) add(vital bool) *lifecycle.Event {
	if q.full() && !vital || q.waiting.Load() >= q.capacity {
		return nil
	}
	q.waiting.Add(1)
	if q.current != nil && (q.current.n == batchEvents || len(q.current.stacks) > batchStacks) {
		q.handOver()
	}
	if q.current == nil {
		q.current = q.take()
	}
	e := &q.current.events[q.current.n]
	q.current.n++
	return e
}

// keep copies a stack for the event that was added last.
func (q *queue) keep(stack []uint64) []uint64 {
	b := q.current
	from := len(b.stacks)
	b.stacks = append(b.stacks, stack...)
	return b.stacks[from:len(b.stacks):len(b.stacks)]
}

// end hands over what was added.
func (q *queue) end() {
	if q.current != nil {
		q.handOver()
	}
	q.producing.Unlock()
}

func (q *queue) handOver() {
	q.mu.Lock()
	q.filled = append(q.filled, q.current)
	q.mu.Unlock()
	q.current = nil
	select {
	case q.ready <- struct{}{}:
		q.tell()
	default:
	}
}

func (q *queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last := len(q.free) - 1; last >= 0 {
		b := q.free[last]
		q.free = q.free[:last]
		return b
	}
	return &batch{stacks: make([]uint64, 0, batchStacks+stackFrames)}
}

// poll reads an event that waits.
func (q *queue) poll(e *lifecycle.Event) bool {
	for q.reading == nil || q.next == q.reading.n {
		if !q.advance() {
			return false
		}
	}
	*e = q.reading.events[q.next]
	q.next++
	q.waiting.Add(-1)
	return true
}

// advance gives back the batch that was read, and takes the next.
func (q *queue) advance() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.reading; b != nil {
		if len(q.free) < spareBatches {
			b.n, b.stacks = 0, b.stacks[:0]
			q.free = append(q.free, b)
		}
		q.reading = nil
	}
	if len(q.filled) == 0 {
		return false
	}
	q.reading, q.next = q.filled[0], 0
	copy(q.filled, q.filled[1:])
	q.filled = q.filled[:len(q.filled)-1]
	return true
}

// read reads an event, for which it waits until a time or until wake is called.
func (q *queue) read(e *lifecycle.Event, until time.Time) bool {
	if q.poll(e) {
		return true
	}
	select {
	case <-q.ready: // who adds from now on tells of it, also if nobody waits here
		if q.poll(e) {
			return true
		}
	default:
	}
	left := time.Until(until)
	if left <= 0 {
		return false
	}
	wait := time.NewTimer(left)
	defer wait.Stop()
	for {
		select {
		case <-q.ready:
			if q.poll(e) {
				return true
			}
		case <-q.woken:
			return false
		case <-wait.C:
			return q.poll(e)
		}
	}
}

func (q *queue) wake() {
	select {
	case q.woken <- struct{}{}:
	default:
	}
}
