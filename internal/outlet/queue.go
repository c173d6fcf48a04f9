package outlet

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/config/configretry"
	"go.uber.org/zap"
)

// respite is for how long a pipeline that refuses data is spared more.
const respite = time.Second

var (
	errFull = errors.New("too much waits for the pipeline")
	errEnd  = errors.New("the receiver is shut down")
)

// queue holds the batches of a signal that wait for the pipeline. A nil queue takes nothing. Its lock is never held while the pipeline is
// called; that of losses may be taken under it.
type queue[T any] struct {
	signal signal[T]
	retry  configretry.BackOffConfig
	losses losses

	ctx    context.Context // of all calls of the pipeline
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when nothing runs any more

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	waiting []T
	items   int // of the batches that wait, and of that which is being offered
	refused time.Time
	closed  bool
}

func newQueue[T any](s signal[T], retry configretry.BackOffConfig, logger *zap.Logger) *queue[T] {
	q := &queue[T]{signal: s, retry: retry, losses: losses{logger: logger, of: s.name}, done: make(chan struct{})}
	q.changed.L = &q.mu
	q.ctx, q.cancel = context.WithCancelCause(context.Background())
	go q.run()
	return q
}

// add appends a batch, or refuses it if there is no room.
func (q *queue[T]) add(batch T) {
	if q == nil {
		return
	}
	n := q.signal.items(batch)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		q.refuse(n, errEnd)
	case q.items > 0 && q.items+n > Capacity: // one that is larger than all goes alone
		q.refuse(n, errFull)
	default:
		q.waiting = append(q.waiting, batch)
		q.items += n
		q.changed.Signal()
	}
}

func (q *queue[T]) busy() bool {
	if q == nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items > Capacity/2 || time.Since(q.refused) < respite
}

// refuse counts items that were not offered.
func (q *queue[T]) refuse(n int, why error) {
	q.signal.end(q.signal.start(context.Background()), n, why)
	q.losses.add(n, why)
}

// run offers one batch after the other.
func (q *queue[T]) run() {
	defer close(q.done)
	defer q.losses.flush()
	for batch, ok := q.next(); ok; batch, ok = q.next() {
		n := q.signal.items(batch)
		q.offer(batch)
		q.mu.Lock()
		q.items -= n
		q.mu.Unlock()
	}
}

// next waits for a batch. It returns false when there is none, and will be none.
func (q *queue[T]) next() (batch T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	if len(q.waiting) == 0 {
		return batch, false
	}
	batch = q.waiting[0]
	clear(q.waiting[:1]) // what was offered is not kept
	q.waiting = q.waiting[1:]
	return batch, true
}

func (q *queue[T]) shutdown(ctx context.Context) {
	if q == nil {
		return
	}
	q.mu.Lock()
	q.closed = true
	q.changed.Signal()
	q.mu.Unlock()
	defer q.cancel(errEnd)
	select {
	case <-q.done:
	case <-ctx.Done():
		q.abandon()
		q.losses.flush()
	}
}

// abandon refuses what waits.
func (q *queue[T]) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, batch := range q.waiting {
		q.refuse(q.signal.items(batch), errEnd)
	}
	q.waiting = nil
}
