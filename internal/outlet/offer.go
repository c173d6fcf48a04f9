package outlet

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

// offer hands a batch to the pipeline, and counts what that took and what it did not.
func (q *queue[T]) offer(batch T) {
	n := q.signal.items(batch)
	op := q.signal.start(q.ctx)
	refused, err := q.deliver(op, batch)
	if err == nil {
		q.signal.end(op, n, nil)
		return
	}
	q.signal.end(op, refused, err)
	if taken := n - refused; taken > 0 {
		q.signal.end(q.signal.start(q.ctx), taken, nil)
	}
	q.losses.add(refused, err)
	if !consumererror.IsPermanent(err) {
		q.mu.Lock()
		q.refused = time.Now()
		q.mu.Unlock()
	}
}

// deliver offers a batch, if so configured again and again what of it was not taken. It returns how many items were not, and why.
func (q *queue[T]) deliver(ctx context.Context, batch T) (refused int, err error) {
	rest, refused := batch, q.signal.items(batch)
	q.signal.ref(rest)
	defer func() { q.signal.unref(rest) }()
	_, err = backoff.Retry(q.ctx, func() (struct{}, error) {
		err := q.signal.consume(ctx, q.lend(rest))
		if err == nil {
			return struct{}{}, nil
		}
		if failed, partial := q.signal.failed(err); partial {
			q.signal.ref(failed)
			q.signal.unref(rest)
			rest, refused = failed, q.signal.items(failed)
		}
		if !q.retry.Enabled || consumererror.IsPermanent(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(schedule(q.retry)), backoff.WithMaxElapsedTime(q.retry.MaxElapsedTime))
	return refused, err
}

// lend returns what to offer: a copy, if the pipeline would change what may have to be offered again.
func (q *queue[T]) lend(batch T) T {
	if q.retry.Enabled && q.signal.mutates {
		return q.signal.copy(batch)
	}
	return batch
}

// schedule returns how long to wait between two offers.
func schedule(c configretry.BackOffConfig) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: c.InitialInterval, RandomizationFactor: c.RandomizationFactor, Multiplier: c.Multiplier, MaxInterval: c.MaxInterval,
	}
}
