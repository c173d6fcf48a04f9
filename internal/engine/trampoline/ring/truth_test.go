//go:build linux

package ring

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// goroutineTruth is a goroutine whose changes are made by any writer, one at a time, as the lock of a status makes them.
type goroutineTruth struct {
	sync.Mutex
	n uint64
}

// change makes the next change; it happens if it is not dropped. A writer can lose its CPU before it commits, and read its clock too early.
func (g *goroutineTruth) change(w writer, cpu uint32, id uint64, yields, early bool) {
	g.Lock()
	defer g.Unlock()
	tsc := w.now()
	if early && g.n > 16 { // where a Chain begins it knows nothing
		tsc -= 1000 // more than instructions change their order by, and what a few changes take
	}
	c := written{g: 0xc000000000 + id*512, goid: g.n, m: id, old: uint8(g.n % 16), new: uint8((g.n + 1) % 16)}
	switch c.new {
	case 7:
		c.creation = &[4]uint64{id, id, id, id}
	case 4:
		c.labels, c.stack = id+1, []uint32{uint32(g.n), uint32(g.n), uint32(g.n) + 1, 0, 0, 0, 0}
	}
	r, ok := w.reserveAt(cpu, tsc, c)
	if !ok {
		return
	}
	if yields {
		runtime.Gosched()
	}
	r.commit()
	g.n++
}

// TestTruth has writers on real threads and the real clock, and finds each goroutine's changes complete and in their order, whatever the
// CPUs that they were made on.
func TestTruth(t *testing.T) {
	if err := Usable(true); err != nil {
		t.Skipf("not on this machine: %v", err)
	}
	const cpus, writers, goroutines = 4, 6, 50
	m, _, _, _ := newBench(t, Geometry{CPUs: cpus, Bits: 10})
	r := NewReader(m)
	var gs [goroutines]goroutineTruth
	var wait sync.WaitGroup
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop); wait.Wait() })
	defer end()
	for seed := range uint64(writers) {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := random.Uint64N(goroutines)
				gs[id].change(writer{m, TSC}, random.Uint32N(cpus), id, random.IntN(50) == 0, random.IntN(10) == 0)
			}
		})
	}
	seen, chain := newTruth(t), NewChain(allStatuses(), 1<<62)
	visit := func(x *Record) {
		x.Uncertain = false // no change is missing after a drop here
		chain.Add(x, seen.see)
	}
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until) && !t.Failed(); {
		limit := 1 << (1 + rand.IntN(10))
		r.Pass(limit, visit)
	}
	end()
	for p := (PassResult{Backlog: 1}); p.Backlog > 0; {
		p = r.Pass(1000, visit)
	}
	if chain.Misfits > 0 || chain.held > 0 {
		t.Errorf("%d records do not fit, %d are held", chain.Misfits, chain.held)
	}
	for i := range gs {
		if got := seen.n[uint64(i)]; got != gs[i].n {
			t.Errorf("goroutine %d: %d of %d changes", i, got, gs[i].n)
		}
	}
	t.Logf("%d records, %d dropped, %d inversions, %d late", seen.total, m.Dropped(), chain.Inversions, seen.late)
}

// truth checks records as they come out.
type truth struct {
	*testing.T
	n           map[uint64]uint64
	last        uint64
	total, late uint64
}

func newTruth(t *testing.T) *truth { return &truth{T: t, n: map[uint64]uint64{}} }

func (s *truth) see(x *Record) {
	id := x.M
	if x.GoID != s.n[id] {
		s.Fatalf("goroutine %d: change %d after %d", id, x.GoID, s.n[id])
	}
	s.n[id]++
	s.total++
	if x.TSC < s.last {
		s.late++
	}
	s.last = max(s.last, x.TSC)
	if x.Created != (x.Old == 6) || x.Created && (x.StartPC != id || x.CreationPC != id || x.ParentG != id || x.Labels != id) {
		s.Fatalf("creation: %+v", x)
	}
	n := uint64(uint32(x.GoID))
	if x.New == 4 && (len(x.Stack) < 2 && n > 0 || n > 0 && (x.Stack[0] != n || x.Stack[2] != n+1) || x.Labels != id+1) {
		s.Fatalf("block: %+v", x)
	}
}
