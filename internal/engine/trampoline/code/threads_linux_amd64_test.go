package code

import (
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// Threads are moved between CPUs, and stopped where they are: each change must still be there once and whole, or counted as dropped.
func TestThreadsShareRings(t *testing.T) {
	const threads, changes, slots = 8, 20_000, 3
	o := measured
	o.Geometry = ring.Geometry{CPUs: lastCPU(t) + 1, Bits: 16}
	limit := min(40_000, threads*changes*(1+slots)/2/uint64(o.Geometry.CPUs)) // there is not room for all
	data := mapped(t, o.Geometry.Size()+threads*gPage)
	put(data, ring.OffDeadline, math.MaxUint64)
	put(data, ring.OffStackSlots, slots)
	for cpu := range uint64(o.Geometry.CPUs) {
		put(data, ring.OffHeaders+cpu*ring.HeaderSize+ring.OffLimit, limit)
	}
	o.Data, o.RDPID = addressOf(data), HasRDPID()
	text, err := loop(o)
	require.NoError(t, err)
	defer unix.Munmap(text)

	byG := map[uint64]uint64{}
	var wait sync.WaitGroup
	for i := range uint64(threads) {
		g := fillG(data[o.Geometry.Size()+i*gPage:][:gPage], slots*ring.AddressesPerSlot)
		byG[g] = 0
		wait.Go(func() {
			r := registers{rax: g, rbx: (changes-1)<<4 | running, rcx: waiting, r14: g}
			enter(uintptr(addressOf(text)), &r)
		})
	}
	wait.Wait()

	m := &machine{t: t, data: data, o: o}
	dropped, taken := uint64(0), uint64(0)
	for cpu := range uint64(o.Geometry.CPUs) {
		require.LessOrEqual(t, m.head(cpu), limit+threads*(1+slots), "only who looked for room before it was taken may exceed it")
		for i := uint64(0); i < m.head(cpu); i += 1 + slots {
			s := m.slot(cpu, i)
			require.Equal(t, uint64(running<<ring.ShiftOld|waiting<<ring.ShiftNew|slots<<ring.ShiftExtras), s[1]&^(1<<ring.ShiftOld-1))
			g := s[1] & (1<<ring.ShiftOld - 1)
			require.Contains(t, byG, g)
			require.Equal(t, g<<ring.ShiftM|ring.Committed, s[3])
			for j, pc := range m.stackIn(cpu, i+1, slots) {
				require.Equal(t, uint32(max(j, 1)), pc) // both of g.sched and of the first frame
			}
			byG[g]++
			taken++
		}
		dropped += m.dropped(cpu)
	}
	for g, n := range byG {
		require.LessOrEqual(t, n, uint64(changes), "%#x", g)
	}
	require.NotZero(t, dropped)
	require.Equal(t, uint64(threads*changes), taken+dropped)
}

// lastCPU is the last that this process may use.
func lastCPU(t *testing.T) (last uint32) {
	var set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &set))
	for i := range 8 * 8 * len(set) {
		if set.IsSet(i) {
			last = uint32(i)
		}
	}
	return last
}

// onOneCPU keeps the test on the last CPU, which is not the first if there is another.
func onOneCPU(t *testing.T) uint64 {
	cpu := lastCPU(t)
	runtime.LockOSThread()
	var old, one unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &old))
	one.Set(int(cpu))
	require.NoError(t, unix.SchedSetaffinity(0, &one))
	t.Cleanup(func() {
		unix.SchedSetaffinity(0, &old)
		runtime.UnlockOSThread()
	})
	return uint64(cpu)
}
