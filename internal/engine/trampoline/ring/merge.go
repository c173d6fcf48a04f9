//go:build linux

package ring

// merge tells which ring has the oldest change: a heap of the rings by the clock of their next one.
type merge struct {
	water uint64
	heap  []cursor
	// at is the position of each ring in its pending changes.
	at []int
}

type cursor struct {
	tsc  uint64
	ring int
}

// reset begins with all rings that have changes up to the water.
func (m *merge) reset(rings []perCPU, water uint64) {
	m.water, m.heap = water, m.heap[:0]
	if m.at == nil {
		m.at = make([]int, len(rings))
	}
	clear(m.at)
	for i := range rings {
		if p := rings[i].pending; len(p) > 0 && p[0].tsc <= water {
			m.heap = append(m.heap, cursor{p[0].tsc, i})
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

func (m *merge) active() bool { return len(m.heap) > 0 }

// first is the ring with the oldest change, position where it is there.
func (m *merge) first() int    { return m.heap[0].ring }
func (m *merge) position() int { return m.at[m.heap[0].ring] }

// visited is how many changes of a ring were passed.
func (m *merge) visited(ring int) int { return m.at[ring] }

// second is the clock up to which the first ring stays the first.
func (m *merge) second() uint64 {
	until := m.water
	for _, c := range m.heap[1:min(3, len(m.heap))] {
		until = min(until, c.tsc)
	}
	return until
}

// advance moves the first ring on to another of its changes.
func (m *merge) advance(ring *perCPU, to int) {
	m.at[m.heap[0].ring] = to
	if to < len(ring.pending) && ring.pending[to].tsc <= m.water {
		m.heap[0].tsc = ring.pending[to].tsc
	} else {
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	m.down(0)
}

func (m *merge) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			return
		}
		if right := child + 1; right < len(m.heap) && m.heap[right].tsc < m.heap[child].tsc {
			child = right
		}
		if m.heap[i].tsc <= m.heap[child].tsc {
			return
		}
		m.heap[i], m.heap[child] = m.heap[child], m.heap[i]
		i = child
	}
}
