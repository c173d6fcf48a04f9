//go:build linux

package uprobe

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// Process is one whose goroutines are followed. It implements engine.Process.
type Process struct {
	engine *Engine
	pid    uint32
	slot   uint32
	value  bpf.TracerTarget

	mu sync.Mutex // guards what follows
	// adopted are the goroutines that the process had before it was followed, as far as Adopt told of them, and what Repair put right.
	adoptedLive   [lifecycle.States]int64
	adoptedTime   [lifecycle.States]int64
	adoptedExited uint64
	last          lifecycle.Counts
	limit         bpf.TracerLimit
	left          bool // the slot may be another's by now
}

// Follow begins to follow the process pid, which runs the attachment's executable with all addresses bias higher than linked.
func (a *Attachment) Follow(pid int, bias uint64, s engine.Settings) (engine.Process, error) {
	slot, err := a.engine.slots.take()
	if err != nil {
		return nil, err
	}
	t := &Process{engine: a.engine, pid: uint32(pid), slot: slot, value: a.target(s)}
	t.value.Bias = bias
	t.value.Slot = slot
	if err := t.enter(); err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	return t, nil
}

// enter lets the kernel follow the process in its slot, which nobody is in.
func (t *Process) enter() error {
	err := t.clearCounts()
	if err == nil {
		err = t.store()
	}
	if err == nil {
		err = t.register()
	}
	if err != nil {
		t.engine.slots.putBack(t.slot) // without the process's id in it, no program has taken it for the process's
		if errors.Is(err, ebpf.ErrKeyExist) {
			return engine.ErrFollowed
		}
		return explain(err)
	}
	t.value.Tgid = t.pid
	if err = t.store(); err == nil && !t.Followed() {
		err = engine.ErrFollowed // it has executed another program meanwhile
	}
	if err != nil {
		return errors.Join(err, t.Unfollow())
	}
	return nil
}

// register gives the process its slot. One that was rejected may have come to count since.
func (t *Process) register() error {
	var now uint32
	if t.engine.objects.Targets.Lookup(t.pid, &now) == nil && now == noSlot {
		if err := t.engine.objects.Targets.Delete(t.pid); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return t.engine.objects.Targets.Update(t.pid, t.slot, ebpf.UpdateNoExist)
}

// store tells the kernel how the process is followed.
func (t *Process) store() error {
	if err := t.engine.objects.Slots.Put(t.slot, &t.value); err != nil {
		return fmt.Errorf("register process %d: %w", t.pid, err)
	}
	return nil
}

func (t *Process) storeLimit() error {
	if err := t.engine.objects.Limits.Put(t.slot, &t.limit); err != nil {
		return fmt.Errorf("limit process %d: %w", t.pid, err)
	}
	return nil
}

// Accept returns the process pid, which the kernel has begun to follow by itself in a slot. Its error wraps engine.ErrFollowed if the process is
// in another slot by now.
func (a *Attachment) Accept(pid int, id engine.ID) (engine.Process, error) {
	t, err := a.engine.newcomer(pid, id)
	if err == nil && !t.Followed() {
		err = engine.ErrFollowed
	}
	if err == nil && t.value.Executable != a.executable { // two overlays show the same file as two, and the other's probe was first
		t.value.Executable = a.executable
		if err = t.store(); err == nil && !t.Followed() {
			err = engine.ErrFollowed // it has executed another program meanwhile
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("process %d: %w", pid, err), t.leave(), a.engine.refillFreeSlots())
	}
	if err := a.engine.refillFreeSlots(); err != nil {
		return nil, errors.Join(err, t.Unfollow())
	}
	return t, nil
}

// newcomer returns a process that the kernel has begun to follow by itself in a slot.
func (t *Engine) newcomer(pid int, id engine.ID) (*Process, error) {
	p := &Process{engine: t, pid: uint32(pid), slot: uint32(id)}
	if err := t.objects.Slots.Lookup(p.slot, &p.value); err != nil {
		return p, fmt.Errorf("look into a slot: %w", err)
	}
	return p, nil
}

// Reject ends to follow the process pid, which the kernel has begun to follow by itself in a slot, and lets it not begin again.
func (t *Engine) Reject(pid int, id engine.ID) error {
	p, err := t.newcomer(pid, id)
	err = errors.Join(err, p.leave(), t.objects.Targets.Put(p.pid, uint32(noSlot)))
	if _, exits := processes.LiveThread(pid); exits != nil { // the kernel may have told so before: also of one that its parent does not wait for
		err = errors.Join(err, t.objects.Targets.Delete(p.pid))
	}
	return errors.Join(err, t.refillFreeSlots())
}

// Release ends to follow the process pid in a slot; it may be followed in another.
func (t *Engine) Release(pid int, id engine.ID) error {
	p, err := t.newcomer(pid, id)
	return errors.Join(err, p.Unfollow(), t.refillFreeSlots())
}

// Followed tells whether the kernel still follows the process as this target, and not as another after an exec.
func (t *Process) Followed() bool {
	var now uint32
	return t.engine.objects.Targets.Lookup(t.pid, &now) == nil && now == t.slot
}

// noSlot is NO_SLOT of goroutine.h.
const noSlot = math.MaxUint32

func flag(is bool) uint8 {
	if is {
		return 1
	}
	return 0
}

func layoutOf(b *goexe.Binary) bpf.TracerTarget {
	l := b.Layout
	v := bpf.TracerTarget{
		Goid: l.G.Goid, Waitreason: l.G.WaitReason, Gopc: l.G.GoPC, M: l.G.M, Curg: l.M.Curg,
		SchedPc: l.G.SchedPC, Labels: l.G.Labels, Param: l.G.Param, SudogC: l.Sudog.C, Dataqsiz: l.Hchan.DataQSiz,
		ChannelReasons: b.ChannelReasons(),
		Preempted:      l.Status["Gpreempted"],
		States:         ^uint64(0), PreemptedReason: b.PreemptedReason(),
	}
	traits := l.Traits()
	v.LateReasons, v.LiveSyscalls = flag(traits.LateReasons), flag(traits.LiveSyscalls)
	hasRet, _ := l.G.SchedHasRet()
	v.SchedHasRet = flag(hasRet)
	v.LabelForm = uint8(bpf.TracerLabelFormLABELS_LIST)
	if traits.LabelMap {
		v.LabelForm = uint8(bpf.TracerLabelFormLABELS_MAP)
	}
	for status, s := range l.States() {
		shift := 4 * status
		v.States = v.States&^(15<<shift) | uint64(s)<<shift
	}
	for _, reason := range b.ThreadKeepers() {
		v.KeepsThread[reason/64] |= 1 << (reason % 64)
	}
	return v
}

// Adopt makes a goroutine known that existed before the probes. It reports false if the probes have come to know it first. Its error wraps
// engine.ErrTooMany if there is no room for it. What is adopted counts for the target's limit from the next call of Throttle on.
func (t *Process) Adopt(k engine.Goroutine) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left {
		return false, os.ErrClosed
	}
	var tracked uint64
	if err := t.engine.objects.Tracked.Lookup(t.slot, &tracked); err != nil {
		return false, fmt.Errorf("count the goroutines of process %d: %w", t.pid, err)
	}
	if tracked+t.limit.Adopted >= uint64(t.engine.options.MaxGoroutinesPerProcess) {
		return false, fmt.Errorf("%w: more than %d of a process", engine.ErrTooMany, t.engine.options.MaxGoroutinesPerProcess)
	}
	g := entryOf(k)
	err := t.engine.objects.Goroutines.Update(t.key(k.G), &g, ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return false, nil
	}
	if errors.Is(err, unix.E2BIG) {
		return false, fmt.Errorf("%w: more than %d in all", engine.ErrTooMany, t.engine.options.MaxGoroutines)
	}
	if err != nil {
		return false, fmt.Errorf("adopt goroutine %d: %w", k.GoID, err)
	}
	t.limit.Adopted++
	if !k.System {
		t.adoptedLive[k.State]++
		t.adoptedTime[k.State] -= k.Since
	}
	return true, nil
}

// AsSeen returns the goroutine as the probes would see it: one that waits and keeps its thread runs.
func (t *Process) AsSeen(k engine.Goroutine) engine.Goroutine {
	if k.State == lifecycle.Waiting && keeps(&t.value, k.Reason) {
		k.State, k.Reason = lifecycle.Running, 0
	}
	return k
}

// keeps tells whether a goroutine that waits for a reason keeps its thread.
func keeps(t *bpf.TracerTarget, reason uint8) bool {
	return t.KeepsThread[reason/64]>>(reason%64)&1 == 1
}

// is tells whether the kernel knows this goroutine in its g, and not one before it, as far as can be told: of goroutines that are not
// sampled the kernel does not know the id.
func is(k engine.Goroutine, v bpf.TracerGoroutine) bool {
	return lifecycle.State(v.State) != lifecycle.Dead && (v.Goid == k.GoID || v.Goid == 0 && v.CreationPc == k.CreationPC)
}

// entryOf returns what the kernel is told of the goroutine.
func entryOf(k engine.Goroutine) bpf.TracerGoroutine {
	flags := bpf.TracerGoroutineFlagGOROUTINE_PREEXISTING
	if k.System {
		flags |= bpf.TracerGoroutineFlagGOROUTINE_SYSTEM
	}
	if k.Sampled {
		flags |= bpf.TracerGoroutineFlagGOROUTINE_SAMPLED
	}
	g := bpf.TracerGoroutine{
		Goid: k.GoID, Created: uint64(k.Since), Since: uint64(k.Since), CreationPc: k.CreationPC, StartPc: k.StartPC, State: uint8(k.State), Reason: k.Reason, Flags: uint8(flags),
	}
	g.Count[k.State-1] = 1
	return g
}

func (t *Process) key(g uint64) uint64 { return uint64(t.slot)<<slotShift | g&addressMask }

// Status tells of the goroutine that has g now: whether it still is the one with this id, and if not, when that one exited, in ns of
// CLOCK_MONOTONIC, as far as the kernel still knows (else 0).
func (t *Process) Status(g, goid uint64) (alive bool, exited int64) {
	var v bpf.TracerGoroutine
	if err := t.engine.objects.Goroutines.Lookup(t.key(g), &v); err != nil {
		return false, 0
	}
	switch {
	case v.Goid != goid && v.Goid != 0:
		return false, 0
	case lifecycle.State(v.State) == lifecycle.Dead:
		return false, int64(v.Since)
	}
	return true, 0
}

// Repair puts right what the kernel knows of the process's goroutines, after changes were missed, by those that live, as a look at the
// process's memory found them that began at the time at. Those that the kernel does not know it adopts. It returns how many were wrong.
func (t *Process) Repair(at int64, living []engine.Goroutine) (wrong int, err error) {
	addresses := make([]uint64, 0, len(living))
	for _, k := range living {
		addresses = append(addresses, k.G)
		mended, err := t.mend(k, at)
		if err != nil {
			return wrong, err
		}
		if mended {
			wrong++
		}
	}
	slices.Sort(addresses)
	dead, err := t.unseen(addresses, at)
	if err != nil {
		return wrong, err
	}
	for g, v := range dead {
		buried := v
		buried.State, buried.Since = uint8(lifecycle.Dead), uint64(at)
		if err := t.replace(g, v, buried); err != nil {
			return wrong, err
		}
		wrong++
	}
	return wrong, nil
}

// mend puts right what the kernel knows of a goroutine that lives, and tells whether it was wrong.
func (t *Process) mend(k engine.Goroutine, at int64) (bool, error) {
	var v bpf.TracerGoroutine
	err := t.engine.objects.Goroutines.Lookup(t.key(k.G), &v)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		adopted, err := t.Adopt(k)
		if errors.Is(err, engine.ErrTooMany) {
			return false, nil
		}
		return adopted, err
	}
	if err != nil {
		return false, fmt.Errorf("look up goroutine %d: %w", k.GoID, err)
	}
	fixed := v
	switch {
	case int64(v.Since) > at-engine.Settled || is(k, v) && t.agrees(lifecycle.State(v.State), k.State):
		return false, nil
	case !is(k, v):
		fixed = entryOf(k)
	default:
		fixed.State, fixed.Reason, fixed.Since = uint8(k.State), k.Reason, uint64(k.Since)
		fixed.Lost++
	}
	return true, t.replace(k.G, v, fixed)
}

// agrees tells whether the kernel can rightly know one state of a goroutine that was found in another: without probes at the ends of system
// calls, it does not see those.
func (t *Process) agrees(known, found lifecycle.State) bool {
	onThread := func(s lifecycle.State) bool { return s == lifecycle.Running || s == lifecycle.Syscall }
	return known == found || t.value.Blind == 1 && onThread(known) && onThread(found)
}

// unseen returns the goroutines that the kernel believes to live, for long enough, and that are not among the living, by the addresses of
// their gs.
func (t *Process) unseen(living []uint64, at int64) (map[uint64]bpf.TracerGoroutine, error) {
	dead := map[uint64]bpf.TracerGoroutine{}
	keys, values := make([]uint64, batch), make([]bpf.TracerGoroutine, batch)
	if err := eachBatch(t.engine.objects.Goroutines, keys, values, func(i int) {
		g, v := keys[i]&addressMask, values[i]
		if keys[i]>>slotShift != uint64(t.slot) || lifecycle.State(v.State) == lifecycle.Dead || int64(v.Since) > at-engine.Settled {
			return
		}
		if _, lives := slices.BinarySearch(living, g); !lives {
			dead[g] = v
		}
	}); err != nil {
		return nil, fmt.Errorf("read the goroutines: %w", err)
	}
	return dead, nil
}

// replace changes what the kernel knows of a goroutine, and the counts accordingly. Nobody knows how it spent the time since the last
// change that was seen: that counts for no state.
func (t *Process) replace(g uint64, old, fixed bpf.TracerGoroutine) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left {
		return os.ErrClosed
	}
	if err := t.engine.objects.Goroutines.Update(t.key(g), &fixed, ebpf.UpdateExist); err != nil {
		return fmt.Errorf("repair goroutine %d: %w", old.Goid, err)
	}
	isSystem := func(v bpf.TracerGoroutine) bool { return v.Flags&uint8(bpf.TracerGoroutineFlagGOROUTINE_SYSTEM) != 0 }
	if was := lifecycle.State(old.State); was != lifecycle.Dead && !isSystem(old) {
		t.adoptedLive[was]--
		t.adoptedTime[was] += int64(old.Since)
		if old.Created != fixed.Created || lifecycle.State(fixed.State) == lifecycle.Dead {
			t.adoptedExited++
		}
	}
	if is := lifecycle.State(fixed.State); is != lifecycle.Dead && !isSystem(fixed) {
		t.adoptedLive[is]++
		t.adoptedTime[is] -= int64(fixed.Since)
	}
	return nil
}

// Throttle leaves out a share of the trees that would be sampled of those that begin from now on, from 0 to 1.
func (t *Process) Throttle(share float64) error {
	defer t.engine.costs.haveChanged()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left {
		return os.ErrClosed
	}
	t.limit.WithheldBelow = uint64(math.Round(share * float64(t.value.SampleBelow)))
	return t.storeLimit()
}

// Goroutines calls visit with each goroutine that lives, of all targets, but for those of the runtime itself. Those that change meanwhile
// may be missed or seen twice.
func (t *Engine) Goroutines(visit func(of engine.ID, r waitstats.Goroutine)) error {
	keys, values := make([]uint64, batch), make([]bpf.TracerGoroutine, batch)
	err := eachBatch(t.objects.Goroutines, keys, values, func(i int) {
		v := &values[i]
		if lifecycle.State(v.State) == lifecycle.Dead || v.Flags&uint8(bpf.TracerGoroutineFlagGOROUTINE_SYSTEM) != 0 {
			return
		}
		visit(engine.ID(keys[i]>>slotShift), waitstats.Goroutine{
			G: keys[i] & addressMask, GoID: v.Goid, State: lifecycle.State(v.State), Reason: v.Reason, Since: int64(v.Since), CreationPC: v.CreationPc,
		})
	})
	if err != nil {
		return fmt.Errorf("read the goroutines: %w", err)
	}
	return nil
}

// ID returns the number of the process's slot.
func (t *Process) ID() engine.ID { return engine.ID(t.slot) }

// Keys of goroutines hold the target's slot and the address of the g.
const (
	slotShift   = 48
	addressMask = 1<<slotShift - 1
)

// Unfollow forgets the process. What is known of its goroutines is removed soon after.
func (t *Process) Unfollow() error {
	t.mu.Lock()
	followed := !t.left && t.Followed()
	t.mu.Unlock()
	err := t.leave()
	if followed {
		err = errors.Join(err, ignoreMissing(t.engine.objects.Targets.Delete(t.pid)))
	}
	return err
}

// leave lets no program take the slot for the process's any more. Those that have done so go on to use it for a while: it is retired. Hits
// that Counts has not told of count as others' from now on.
func (t *Process) leave() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left {
		return nil
	}
	t.left, t.value.Tgid = true, 0
	err := t.store()
	if hits, countErr := t.engine.hitsInSlot(t.slot); countErr != nil {
		err = errors.Join(err, countErr)
	} else if told := t.last.Hits(); hits > told {
		t.engine.late[t.value.Executable].Add(hits - told)
	}
	t.engine.retire(t.slot)
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

const batch = 4096

// eachBatch reads a whole map and calls visit for each index of keys and values that holds an entry.
func eachBatch(m *ebpf.Map, keys, values any, visit func(i int)) error {
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			visit(i)
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
