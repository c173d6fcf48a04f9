//go:build linux

package trampoline

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// items plays operations on a channel to a machine, as the runtime would carry them out.
type items struct {
	*machine
	size         uint32
	sendX, recvX uint32
	now          int64
}

const itemChannel = 0xc000010000

func newItems(t *testing.T, size uint32) *items {
	t.Helper()
	q := newQueue(1<<20, func() {})
	left := &room{}
	left.left.Store(1 << 10)
	m := &machine{queue: q, goroutines: newTable(100, left), channels: map[uint64]*channel{itemChannel: {address: itemChannel, items: make([]uint64, size)}}}
	for g := uint64(1); g < 10; g++ {
		*m.goroutines.insert(g) = goroutine{g: g, goid: g, state: lifecycle.Running, sampled: true}
	}
	return &items{machine: m, size: size}
}

// sends, receives and takes return what is recorded if a goroutine does so.
func (i *items) sends(g uint64) *ring.Record {
	i.sendX = (i.sendX + 1) % i.size
	return &ring.Record{Item: ring.Sent, Channel: itemChannel, G: g, SendX: i.sendX, RecvX: i.recvX}
}

func (i *items) receives(g uint64) *ring.Record {
	i.recvX = (i.recvX + 1) % i.size
	return &ring.Record{Item: ring.Received, Channel: itemChannel, G: g, SendX: i.sendX, RecvX: i.recvX}
}

func (i *items) takes(g, from uint64) *ring.Record {
	r := &ring.Record{Item: ring.Taken, Channel: itemChannel, G: g, Sender: from, RecvX: i.recvX}
	i.recvX = (i.recvX + 1) % i.size
	i.sendX = i.recvX
	return r
}

// record brings records to the machine, each some ns later.
func (i *items) record(later int64, records ...*ring.Record) {
	for _, r := range records {
		i.now += later
		i.queue.begin()
		i.takeItem(r, i.now)
		i.queue.end()
	}
}

// told returns who has received what from whom, 0 if that is not known.
func (i *items) told() (pairs []string) {
	from := map[uint64]uint64{}
	for e := (lifecycle.Event{}); i.queue.poll(&e); {
		switch e.Kind {
		case lifecycle.Sent:
			from[e.Item] = e.GoID
		case lifecycle.Received:
			pairs = append(pairs, fmt.Sprintf("%d from %d", e.GoID, from[e.Item]))
		}
	}
	return pairs
}

func TestItemsArePaired(t *testing.T) {
	for name, c := range map[string]struct {
		size uint32
		play func(i *items)
		want []string
	}{
		"in order": {3, func(i *items) {
			i.record(100, i.sends(1), i.sends(2), i.receives(8), i.sends(3), i.receives(9), i.receives(8))
		}, []string{"8 from 1", "9 from 2", "8 from 3"}},
		"one place": {1, func(i *items) {
			i.record(100, i.sends(1), i.receives(8), i.sends(2), i.receives(8), i.sends(3), i.takes(9, 4), i.receives(8))
		}, []string{"8 from 1", "8 from 2", "9 from 3", "8 from 4"}},
		"full, with others that wait": {2, func(i *items) {
			i.record(100, i.sends(1), i.sends(2), i.takes(8, 3), i.takes(9, 4), i.receives(8), i.receives(9))
		}, []string{"8 from 1", "9 from 2", "8 from 3", "9 from 4"}},
		"what was there before": {3, func(i *items) {
			_, _ = i.sends(1), i.sends(2)
			i.record(100, i.sends(3), i.receives(8), i.receives(8), i.receives(8))
		}, []string{"8 from 0", "8 from 0", "8 from 3"}},
		"begun at a take": {2, func(i *items) {
			_, _ = i.sends(1), i.sends(2)
			i.record(100, i.takes(8, 3), i.receives(8), i.receives(8))
		}, []string{"8 from 0", "8 from 0", "8 from 3"}},
		"clocks in the wrong order": {1, func(i *items) {
			first, second, third, fourth := i.sends(1), i.receives(8), i.sends(2), i.receives(9)
			i.record(100, first, third, second, fourth)
		}, []string{"8 from 1", "9 from 2"}},
		"a send was lost": {4, func(i *items) {
			first, _ := i.sends(1), i.sends(2)
			i.record(20_000, first, i.sends(3), i.receives(8), i.receives(8), i.receives(8), i.sends(4), i.receives(9))
		}, []string{"8 from 0", "8 from 0", "8 from 3", "9 from 4"}},
		"a receive was lost": {4, func(i *items) {
			first, second := i.sends(1), i.sends(2)
			i.receives(8)
			i.record(20_000, first, second, i.receives(8), i.sends(3), i.receives(9))
		}, []string{"8 from 0", "9 from 3"}},
		"all was lost for a while": {2, func(i *items) {
			i.record(100, i.sends(1))
			i.forgetItems()
			i.record(100, i.receives(8), i.sends(2), i.receives(8))
		}, []string{"8 from 0", "8 from 2"}},
		"another channel": {2, func(i *items) {
			r := i.receives(8)
			r.Channel++
			i.record(100, r)
		}, nil},
		"positions that cannot be": {2, func(i *items) {
			i.record(100, &ring.Record{Item: ring.Sent, Channel: itemChannel, G: 1, SendX: 7}, &ring.Record{Item: ring.Received, Channel: itemChannel, G: 8, RecvX: 1 << 30},
				&ring.Record{Item: 9, Channel: itemChannel, G: 8})
		}, []string{"8 from 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			i := newItems(t, c.size)
			c.play(i)
			i.record(100_000, &ring.Record{Item: ring.Sent, Channel: itemChannel}) // what is held is given up
			if diff := cmp.Diff(c.want, i.told()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
