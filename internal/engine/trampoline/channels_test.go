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
	missed       []lifecycle.Event // that items were
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

// told returns who has received what from whom, 0 if that is not known, and where it is told that items were missed.
func (i *items) told() (pairs []string) {
	from := map[uint64]uint64{}
	for e := (lifecycle.Event{}); i.queue.poll(&e); {
		switch e.Kind {
		case lifecycle.Sent:
			from[e.Item] = e.GoID
		case lifecycle.Missed:
			i.missed = append(i.missed, e)
			pairs = append(pairs, "missed")
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
		}, []string{"missed", "8 from 0", "8 from 0", "8 from 3", "9 from 4"}},
		"a receive was lost": {4, func(i *items) {
			first, second := i.sends(1), i.sends(2)
			i.receives(8)
			i.record(20_000, first, second, i.receives(8), i.sends(3), i.receives(9))
		}, []string{"missed", "8 from 0", "9 from 3"}},
		"all was lost for a while": {2, func(i *items) {
			i.record(100, i.sends(1))
			i.forgetItems()
			i.record(100, i.receives(8), i.sends(2), i.receives(8))
		}, []string{"missed", "8 from 0", "8 from 2"}},
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

// TestMissedItemsAreTold has operations that show that others were missed.
func TestMissedItemsAreTold(t *testing.T) {
	i := newItems(t, 4)
	other := &channel{address: itemChannel + 0x20, items: make([]uint64, 1)}
	i.channels[other.address] = other
	first, _ := i.sends(1), i.sends(2)
	i.record(20_000, first, i.sends(3), i.receives(8))
	i.queue.begin()
	i.noteMissed(i.channels[itemChannel])
	i.noteMissed(other)
	i.noteMissed(other)
	i.queue.end()
	i.told()
	var of []uint64
	for _, e := range i.missed {
		if of = append(of, e.Channel); e.PID != i.pid || e.Since == 0 || e.Since > e.Time {
			t.Errorf("told %+v", e)
		}
	}
	if diff := cmp.Diff([]uint64{itemChannel, 0}, of); diff != "" {
		t.Error(diff)
	}
}

// TestMissedItemsAreToldLater has no room for that in the queue.
func TestMissedItemsAreToldLater(t *testing.T) {
	i := newItems(t, 1)
	i.queue.waiting.Store(i.queue.capacity)
	i.queue.begin()
	i.forgetItems()
	i.queue.waiting.Store(0)
	i.beginItems()
	i.beginItems()
	i.queue.end()
	if i.told(); len(i.missed) != 1 || i.missed[0].Channel != 0 {
		t.Errorf("told %v", i.missed)
	}
}

func TestItemsAreHits(t *testing.T) {
	i := newItems(t, 1)
	i.record(100, i.sends(1), i.receives(8))
	if hits := i.figures.counts.Hits(); hits != 2 || i.taken != 2 {
		t.Errorf("%d hits, %d records", hits, i.taken)
	}
}

// TestLargeBuffersCostNothing has a buffer become unknown again and again without a look at all of it.
func TestLargeBuffersCostNothing(t *testing.T) {
	i := newItems(t, maxBuffer)
	i.record(100, i.sends(1))
	c := i.channels[itemChannel]
	i.forgetItems()
	i.record(100, i.sends(2))
	c.recvX = 0
	if c.items[0] == 0 || c.first() != 0 {
		t.Errorf("item %d, taken as %d", c.items[0], c.first())
	}
	if c.recvX = 1; c.first() != 2 {
		t.Errorf("item %d is not known", c.items[1])
	}
}

func openRings(t *testing.T) *ring.Memory {
	t.Helper()
	memory, err := ring.Open(ring.Geometry{CPUs: 1, Bits: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close() })
	return memory
}

// TestBuffersAreBounded has a process with channels of large buffers, which forgets meanwhile which are followed.
func TestBuffersAreBounded(t *testing.T) {
	m, memory := &machine{queue: newQueue(1, func() {}), channels: map[uint64]*channel{}}, openRings(t)
	for address := uint64(0xc000000000); address < 0xc000000000+100<<ring.ChannelShift; address += 1 << ring.ChannelShift {
		m.follow(memory, address, maxBuffer)
		memory.SetWord(ring.OffChannels+8*ring.ChannelIndex(address), 0)
	}
	if held := len(m.channels) * maxBuffer; held != maxBuffers {
		t.Errorf("room for %d items", held)
	}
	for address := range m.channels {
		m.leave(memory, address)
	}
	if m.buffers != 0 || !m.follow(memory, itemChannel, 1) || m.follow(memory, 0, 1) || m.follow(memory, itemChannel+0x20, 0) {
		t.Errorf("channels that are left take room for %d items", m.buffers)
	}
}

// TestChannelsAreLeft has a machine that has no time for items.
func TestChannelsAreLeft(t *testing.T) {
	for name, c := range map[string]struct {
		summaries, busy bool
		items, left     int
	}{
		"there is time":                       {items: 1},
		"only figures are made":               {summaries: true, left: 1},
		"too many events wait":                {busy: true, items: 1, left: 1},
		"too many events wait, but of others": {busy: true},
	} {
		t.Run(name, func(t *testing.T) {
			i, memory := newItems(t, 1), openRings(t)
			i.channels = map[uint64]*channel{}
			if !i.follow(memory, itemChannel, 1) {
				t.Fatal("the channel is not followed")
			}
			if i.summaries = c.summaries; c.busy {
				i.queue.waiting.Add(i.queue.capacity/busyShare + 1)
			}
			for range c.items {
				i.record(100, i.sends(1))
			}
			i.queue.begin()
			i.relieve(memory)
			i.queue.end()
			if i.told(); len(i.missed) != c.left || len(i.channels) != 1-c.left || memory.Word(ring.OffChannelCount) != uint64(1-c.left) {
				t.Errorf("told %v, %d are followed", i.missed, len(i.channels))
			}
			if again := i.follow(memory, itemChannel+1<<ring.ChannelShift, 1); again != (!c.summaries && !c.busy) {
				t.Errorf("another is followed: %v", again)
			}
			for _, e := range i.missed {
				if e.Since != 0 || e.Channel != itemChannel {
					t.Errorf("told %+v", e)
				}
			}
		})
	}
}
