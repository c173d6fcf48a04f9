//go:build linux

package uprobe

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
)

// stockedSlots is how many slots the kernel can give to processes by itself.
const stockedSlots = 32

// refillFreeSlots gives the kernel as many free slots as it has room for.
func (t *Engine) refillFreeSlots() error {
	for {
		slot, err := t.slots.take()
		if err != nil {
			return nil // all are in use: new processes are not followed until one ends
		}
		next := &Process{engine: t, slot: slot}
		if err = next.clearCounts(); err == nil {
			err = t.objects.FreeSlots.Put(nil, slot)
		}
		if err != nil {
			t.slots.putBack(slot)
			if errors.Is(err, unix.E2BIG) {
				return nil
			}
			return fmt.Errorf("give the kernel a slot: %w", err)
		}
	}
}

// retire gives a slot back in which nobody is followed any more.
func (t *Engine) retire(slot uint32) {
	t.slots.retire(slot)
	select {
	case t.retired <- struct{}{}:
	default:
	}
}

// keepReclaiming frees slots that are retired, until the engine is closed.
func (t *Engine) keepReclaiming() {
	for {
		select {
		case <-t.closed:
			return
		case <-t.retired:
		}
		if err := t.reclaim(); err != nil {
			t.options.Logger.Warn("What the kernel knows of processes that have ended could not be removed", zap.Error(err))
		}
	}
}

func (t *Engine) reclaim() error {
	return errors.Join(t.slots.reclaim(t.waitForPrograms, t.forget), t.refillFreeSlots())
}

// forget removes all that is known in slots in which nobody is followed, several at once: that takes a look at all goroutines, of which
// there may be a million.
func (t *Engine) forget(slots []uint32) error {
	gone := make(map[uint32]bool, len(slots))
	for _, slot := range slots {
		gone[slot] = true
	}
	errs := []error{
		removeIf[bpf.TracerGoroutine](t.objects.Goroutines, 1, func(key uint64) bool { return gone[uint32(key>>slotShift)] }),
		removeIf[bpf.TracerBucket](t.objects.Histograms, 1, func(k bpf.TracerBucketKey) bool { return gone[uint32(k.Slot)] }),
		removeIf[bpf.TracerLives](t.objects.Functions, t.cpus, func(k bpf.TracerFunction) bool { return gone[k.Slot] }),
		removeIf[uint64](t.objects.RunTimes, t.cpus, func(k bpf.TracerFunction) bool { return gone[k.Slot] }),
	}
	for slot := range gone {
		errs = append(errs, t.clearDistributions(slot),
			t.objects.Slots.Put(slot, &bpf.TracerTarget{}), t.objects.Tracked.Put(slot, uint64(0)), t.objects.Limits.Put(slot, &bpf.TracerLimit{}))
	}
	return errors.Join(errs...)
}

// removeIf removes the entries of a map with such keys. There are as many values of type V for each as perKey tells.
func removeIf[V any, K comparable](m *ebpf.Map, perKey int, gone func(K) bool) error {
	keys, values := make([]K, batch), make([]V, batch*perKey)
	var found []K
	err := eachBatch(m, keys, values, func(i int) {
		if gone(keys[i]) {
			found = append(found, keys[i])
		}
	})
	if err == nil && len(found) > 0 {
		_, err = m.BatchDelete(found, nil)
	}
	if err != nil {
		return fmt.Errorf("remove from %s: %w", m, err)
	}
	return nil
}
