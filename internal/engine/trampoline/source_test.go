//go:build linux && amd64

package trampoline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// written is a source of items that a test writes into a ring.
type written struct {
	*source
	*items
	memory *ring.Memory
}

func newWritten(t *testing.T, size uint32) *written {
	t.Helper()
	i, memory := newItems(t, size), openRings(t)
	i.rules, i.recorded = testRules(), &recorded{}
	clock, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	memory.Beat(1 << 62)
	s := &source{memory: memory, reader: ring.NewReader(memory), chain: ring.NewChain(i.equalStatuses(), clock.ticks(inversion)), clock: clock, machine: i.machine}
	s.add, s.take = s.visit, func(*ring.Record) {}
	return &written{s, i, memory}
}

// write writes records of items as a trampoline does, and has them read.
func (w *written) write(records ...*ring.Record) {
	for _, r := range records {
		const header = ring.OffHeaders + ring.OffHead
		index, g := w.memory.Word(header), w.memory.Geometry()
		slot := g.Slots() + index&(1<<g.Bits-1)*ring.SlotSize
		w.memory.SetWord(header, index+1)
		w.memory.SetWord(slot, ring.TSC())
		w.memory.SetWord(slot+8, r.Channel|uint64(r.Item)<<ring.ShiftOld|ring.KindItem<<ring.ShiftKinds)
		w.memory.SetWord(slot+16, uint64(r.SendX)|uint64(r.RecvX)<<ring.ShiftRecvX)
		w.memory.SetWord(slot+24, r.G<<ring.ShiftM|ring.Committed|index>>g.Bits&ring.LapMask)
	}
	w.pass(recordsAtOnce)
}

// drops has a trampoline find no room for some records.
func (w *written) drops(records ...*ring.Record) {
	const header = ring.OffHeaders + ring.OffDropped
	w.memory.SetWord(header, w.memory.Word(header)+uint64(len(records)))
}

// TestItemsAfterALoss has records be lost of which no position in the buffer tells, as it has one place.
func TestItemsAfterALoss(t *testing.T) {
	for name, c := range map[string]struct {
		play func(w *written)
		want []string
	}{
		"one that is sent, after one that is taken": {func(w *written) {
			w.write(w.sends(1))
			w.drops(w.receives(8), w.sends(2))
			w.write(w.receives(8))
		}, []string{"missed", "8 from 0"}},
		"among those that are read": {func(w *written) {
			first := w.sends(1)
			w.drops(w.receives(8), w.sends(2))
			w.write(first, w.receives(8))
		}, []string{"missed", "8 from 0"}},
		"at the end of those that are read": {func(w *written) {
			w.drops(w.sends(1), w.receives(8))
			w.write()
			w.write(w.sends(1))
			w.write(w.receives(8))
		}, []string{"missed", "missed", "8 from 0"}},
		"long ago": {func(w *written) {
			w.drops(w.sends(1), w.receives(8))
			w.write()
			w.write()
			w.write(w.sends(2), w.receives(8))
		}, []string{"missed", "missed", "8 from 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWritten(t, 1)
			c.play(w)
			if diff := cmp.Diff(c.want, w.told()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestItemsAreLeft has a source follow no channels while only figures are made.
func TestItemsAreLeft(t *testing.T) {
	w := newWritten(t, 1)
	w.summaries = true
	if w.write(); len(w.channels) != 0 {
		t.Errorf("%d channels are followed", len(w.channels))
	}
}

// TestItemsThatNoOtherFollows has an item be taken that nobody was seen to send, and then nothing.
func TestItemsThatNoOtherFollows(t *testing.T) {
	w := newWritten(t, 4)
	w.write(w.sends(1))
	_ = w.sends(2)
	w.write(w.receives(8))
	for end := time.Now().Add(time.Second); len(w.channels[itemChannel].held) > 0 && time.Now().Before(end); {
		w.write()
	}
	if diff := cmp.Diff([]string{"missed", "8 from 0"}, w.told()); diff != "" {
		t.Error(diff)
	}
}
