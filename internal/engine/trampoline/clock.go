//go:build linux

package trampoline

import (
	"sync/atomic"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// clock is one that the reader keeps right and everybody uses.
type clock struct {
	own     *ring.Clock // of the reader
	current atomic.Pointer[ring.Clock]
}

func newClock() (*clock, error) {
	own, err := ring.NewClock()
	if err != nil {
		return nil, err
	}
	c := &clock{own: own}
	c.publish()
	return c, nil
}

func (c *clock) publish() {
	line := *c.own
	c.current.Store(&line)
}

// now returns what converts times that are not long ago.
func (c *clock) now() *ring.Clock { return c.current.Load() }

func (c *clock) ticks(d time.Duration) uint64 { return c.now().Ticks(d) }

// sync keeps the clock right. Its error wraps ring.ErrClockJumped if what happened before cannot be dated any more.
func (c *clock) sync() error {
	err := c.own.Sync()
	c.publish()
	return err
}
