package code

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

func (m *machine) status() uint32 {
	return binary.NativeEndian.Uint32(m.things[gAt+uint64(m.o.Layout.G.AtomicStatus):])
}

func (m *machine) setStatus(s uint32) {
	binary.NativeEndian.PutUint32(m.things[gAt+uint64(m.o.Layout.G.AtomicStatus):], s)
}

// full are registers that all differ.
func full() (r registers) {
	for i := range r {
		r[i] = 0x1111111111111111 * uint64(i+1)
	}
	return r
}

// pairs are all registers that a swap can have: R14 is always a g.
func pairs() (all [][2]reg) {
	for gp := rcx; gp <= r15; gp++ {
		for new := rcx; new <= r15; new++ {
			if gp != rsp && new != rsp && gp != new && new != r14 {
				all = append(all, [2]reg{gp, new})
			}
		}
	}
	return all
}

// A function must not be able to tell whether its swap is patched, whichever registers it has.
func TestASwapDoesWhatItDidBefore(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	for _, wants := range []uint64{0, 1} {
		put(m.data, ring.OffStackSlots, 3*wants)
		put(m.data, ring.OffWantLabels, wants)
		m.field(m.o.Layout.G.Labels, 0x1234)
		m.field(m.o.Layout.G.SchedBP, m.frames(addresses(10)))
		for _, pair := range pairs() {
			gp, new := pair[0], pair[1]
			p, code := swapPatch(m.o.Layout, gp, new)
			r := full()
			r[r14], r[gp], r[rax] = m.thing(gAt), m.thing(gAt), running
			r[new] = 0xabcd<<32 | 0x1000 | waiting
			at := m.head(cpu)
			m.sameAsBefore(p, code, r, running)
			require.Equal(t, uint32(0x1000|waiting), m.status())
			require.Equal(t, m.word1(running, waiting, 3*wants, ring.KindLabels*wants), m.slot(cpu, at)[1], "%d %d", gp, new)
			require.Equal(t, m.thing(mAt)<<ring.ShiftM|ring.Committed|at>>4, m.slot(cpu, at)[3])
		}
	}
}

// sameAsBefore runs a function with its patch, and requires that all is as without.
func (m *machine) sameAsBefore(p goexe.Patch, code []byte, r registers, status uint32) {
	m.load(p, code, false)
	m.setStatus(status)
	want := m.run(r)
	after := m.status()
	m.load(p, code, true)
	m.setStatus(status)
	require.Equal(m.t, want, m.run(r), "%s with %d, %d", p.Function, p.G, p.New)
	require.Equal(m.t, after, m.status())
}

func TestASwapThatFailsIsNoChange(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	for _, pair := range pairs() {
		p, code := swapPatch(m.o.Layout, pair[0], pair[1])
		r := full()
		r[r14], r[pair[0]], r[rax] = m.thing(gAt), m.thing(gAt), running
		m.sameAsBefore(p, code, r, 0x1000|running)
		require.Equal(t, uint32(0x1000|running), m.status())
	}
	require.Zero(t, m.head(cpu))
	require.Zero(t, m.dropped(cpu))
}

// Also where the change has extra slots, or is dropped.
func TestTheFlagsOfASwapAreAsTheyWere(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	p, code := swapPatch(m.o.Layout, rcx, rdx)
	pushf, popRAX := byte(0x9c), byte(0x58)
	code = append(code[:len(code)-1], pushf, popRAX, ret)
	for _, old := range []uint64{dead, running, runnable} {
		for _, status := range []uint64{old, waiting} { // it succeeds, or not
			for _, limit := range []uint64{0, 1000} {
				put(m.data, ring.OffStackSlots, 3)
				put(m.header(cpu, ring.OffLimit), 0, limit)
				r := full()
				r[rcx], r[rax], r[rdx], r[r14] = m.thing(gAt), old, syscall, m.thing(gAt)
				m.sameAsBefore(p, code, r, uint32(status))
			}
		}
	}
	require.NotZero(t, m.head(cpu))
	require.NotZero(t, m.dropped(cpu))
}

func TestACallKeepsWhatIsAlive(t *testing.T) {
	cpu := onOneCPU(t)
	m := newMachine(t, layout(t, "go1.26.8"), 4)
	p, code := callPatch()
	m.load(p, code, true)
	m.field(m.o.Layout.G.SchedBP, m.frames(addresses(20)))
	for _, stack := range []uint64{0, 11} {
		for _, limit := range []uint64{0, 1000} {
			for _, old := range []uint64{dead, running, runnable} {
				put(m.data, ring.OffStackSlots, stack)
				put(m.header(cpu, ring.OffLimit), 0, limit)
				r := full()
				r[rax], r[r14] = m.thing(gAt), m.thing(gAt)
				r[rbx], r[rcx] = 0xabcd<<32|old, 0xef01<<32|waiting
				after := m.run(r)
				for _, alive := range []reg{rax, rbx, rcx, rbp, r14, r15} {
					require.Equal(t, r[alive], after[alive], "%d", alive)
				}
			}
		}
	}
	require.Equal(t, uint64(4+9), m.head(cpu)) // 2 + 1 + 1 without stacks, 3 + 5 + 1 with
	require.Equal(t, uint64(6), m.dropped(cpu))
}
