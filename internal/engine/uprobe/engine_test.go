//go:build linux

package uprobe

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/census"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func newEngine(t testing.TB, maxGoroutines int) *Engine {
	t.Helper()
	testbuild.RequireRoot(t)
	e, err := New(engine.Options{MaxGoroutines: maxGoroutines, MaxGoroutinesPerProcess: maxGoroutines, BufferSize: 1 << 20})
	var verifier *ebpf.VerifierError
	if errors.As(err, &verifier) {
		t.Fatalf("%+v", verifier)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestKernelTakesThePrograms(t *testing.T) {
	newEngine(t, 4096)
}

// TestLimitOfATarget has two processes, of which one has more goroutines than it may: the other has room for all of its own nevertheless.
func TestLimitOfATarget(t *testing.T) {
	const limit = 1024
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	e, err := New(engine.Options{MaxGoroutines: 2 * limit, MaxGoroutinesPerProcess: limit, BufferSize: 1 << 20})
	require.NoError(t, err)
	defer e.Close()
	attachment, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	defer attachment.Close()
	for _, test := range []struct {
		pairs string
		fits  bool
	}{{"4000", false}, {"400", true}} {
		p := testbuild.Start(t, exe, test.pairs, "100")
		p.Line()
		followed, err := attachment.Follow(p.PID(), 0, engine.Settings{})
		require.NoError(t, err)
		require.NoError(t, followed.Throttle(0))
		p.GoOn()
		require.Equal(t, "done", p.Line())
		counts, err := followed.Counts()
		require.NoError(t, err)
		known, keys := 0, make([]uint64, batch)
		require.NoError(t, eachBatch(e.objects.Goroutines, keys, make([]bpf.TracerGoroutine, batch), func(i int) {
			if engine.ID(keys[i]>>slotShift) == followed.ID() {
				known++
			}
		}))
		if fits := counts.Untracked == 0; fits != test.fits || known > limit {
			t.Errorf("%s pairs of goroutines: %d are known, %d are not tracked", test.pairs, known, counts.Untracked)
		}
		for i := range 2 * limit {
			if _, err = followed.Adopt(engine.Goroutine{G: uint64(i+1) << 20, State: lifecycle.Waiting}); err != nil {
				break
			}
		}
		require.ErrorIs(t, err, engine.ErrTooMany)
	}
}

// TestDistributions counts durations of a target in one of the first slots, and of one that comes when these are taken: each goroutine's
// life is one, and nothing of it is left to the slot's next target.
func TestDistributions(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	e := newEngine(t, 4096)
	attachment, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	defer attachment.Close()
	for _, late := range []bool{false, true} {
		for late {
			if slot, err := e.slots.take(); err != nil || slot*directKinds >= e.objects.Distributions.MaxEntries() {
				require.NoError(t, err)
				break
			}
		}
		p := testbuild.Start(t, exe, "400", "100")
		p.Line()
		followed, err := attachment.Follow(p.PID(), 0, engine.Settings{})
		require.NoError(t, err)
		p.GoOn()
		require.Equal(t, "done", p.Line())
		counts, err := followed.Counts()
		require.NoError(t, err)
		all, err := e.Distributions()
		require.NoError(t, err)
		lifetimes := all[followed.ID()].Histograms[lifecycle.HistogramKey{Kind: lifecycle.Lifetime}]
		require.NotNil(t, lifetimes)
		var inBuckets, direct uint64
		for _, n := range lifetimes.Buckets {
			inBuckets += n
		}
		require.NoError(t, e.eachDistribution(func(which uint32, perCPU []bpf.TracerDistribution) {
			for i := range perCPU {
				direct += perCPU[i].Sum
			}
		}))
		if lifetimes.Count < 800 || lifetimes.Count != counts.Exited || inBuckets != lifetimes.Count || lifetimes.Sum == 0 || late == (direct > 0) {
			t.Errorf("late: %v: %d lives of %d ns, %d in buckets, %d ns directly; %d goroutines exited",
				late, lifetimes.Count, lifetimes.Sum, inBuckets, direct, counts.Exited)
		}
		require.NoError(t, followed.Unfollow())
		require.Eventually(t, func() bool {
			all, err = e.Distributions()
			return err != nil || len(all[followed.ID()].Histograms) == 0
		}, 10*time.Second, 10*time.Millisecond)
		require.NoError(t, err)
	}
}

// TestRepair takes the probes away while goroutines exit, and compares what the kernel knows after a repair with the process's memory.
func TestRepair(t *testing.T) {
	const parked = 100
	testbuild.RequireRoot(t)
	p := testbuild.Start(t, testbuild.Program(t, "parked", testbuild.Options{}), strconv.Itoa(parked))
	p.Profile()
	process, err := processes.Read(p.PID())
	require.NoError(t, err)
	binary, err := goexe.Open(process.ExecutablePath())
	require.NoError(t, err)
	defer binary.Close()
	e := newEngine(t, 4096)
	attachment, err := e.Attach(binary, process.ExecutablePath(), engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	followed, err := attachment.Follow(p.PID(), 0, engine.Settings{})
	require.NoError(t, err)
	living := func() (all []engine.Goroutine) {
		require.NoError(t, snapshot.Source{PID: p.PID(), Binary: binary}.Each(t.Context(), func(g snapshot.Goroutine) error {
			all = append(all, followed.AsSeen(engine.Goroutine{G: g.G, GoID: g.GoID, State: g.State, Reason: g.WaitReason, Since: lifecycle.Now()}))
			return nil
		}))
		return all
	}
	for _, g := range living() {
		_, err := followed.Adopt(g)
		require.NoError(t, err)
	}
	before, err := followed.Counts()
	require.NoError(t, err)
	wrong, err := followed.Repair(lifecycle.Now(), living())
	require.NoError(t, err)
	require.Zero(t, wrong, "what is right was repaired")

	require.NoError(t, attachment.Close())
	p.GoOn()
	require.Eventually(t, func() bool { return len(living()) == int(live(before))-2*parked }, 10*time.Second, 10*time.Millisecond)
	time.Sleep(2 * settled)
	wrong, err = followed.Repair(lifecycle.Now(), living())
	require.NoError(t, err)
	after, err := followed.Counts()
	require.NoError(t, err)
	require.GreaterOrEqual(t, wrong, 2*parked)
	require.Equal(t, live(before)-2*parked, live(after))
	require.EqualValues(t, 2*parked, after.Exited)
	require.NoError(t, followed.Unfollow())
}

// TestAdoptAfterExit reads of a goroutine that exits before it is adopted, without any other change of state: it does not come back to life.
func TestAdoptAfterExit(t *testing.T) {
	e := newEngine(t, 4096)
	exe := testbuild.Program(t, "spin", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	p := testbuild.Start(t, exe)
	p.Line()
	a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	defer a.Close()
	followed, err := a.Follow(p.PID(), 0, engine.Settings{})
	require.NoError(t, err)
	read := func() (all, running []snapshot.Goroutine) {
		require.NoError(t, snapshot.Source{PID: p.PID(), Binary: binary}.Each(t.Context(), func(g snapshot.Goroutine) error {
			if all = append(all, g); g.State == lifecycle.Running {
				running = append(running, g)
			}
			return nil
		}))
		return all, running
	}
	_, running := read()
	require.Len(t, running, 1, "goroutines that run")
	p.GoOn()
	p.Line()
	require.Eventually(t, func() bool {
		all, _ := read()
		return !slices.ContainsFunc(all, func(g snapshot.Goroutine) bool { return g.GoID == running[0].GoID })
	}, 10*time.Second, time.Millisecond)
	adopted, err := followed.Adopt(engine.Goroutine{G: running[0].G, GoID: running[0].GoID, State: lifecycle.Running, Since: lifecycle.Now()})
	require.NoError(t, err)
	require.False(t, adopted)
}

// TestTwoCollectors attaches two engines to the same process, the second after it has analysed the file with the first one's probes: both see
// each goroutine.
func TestTwoCollectors(t *testing.T) {
	const pairs = 400
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	p := testbuild.Start(t, exe, strconv.Itoa(pairs), "100")
	p.Line()
	var sites []goexe.Site
	var both []engine.Process
	for range 2 {
		binary, err := goexe.Open(exe)
		require.NoError(t, err)
		defer binary.Close()
		if sites != nil {
			require.Equal(t, sites, binary.Sites)
		}
		sites = binary.Sites
		a, err := newEngine(t, 4096).Attach(binary, exe, engine.AttachOptions{Syscalls: true})
		require.NoError(t, err)
		defer a.Close()
		followed, err := a.Follow(p.PID(), 0, engine.Settings{})
		require.NoError(t, err)
		both = append(both, followed)
	}
	p.GoOn()
	require.Equal(t, "done", p.Line())
	for _, followed := range both {
		counts, err := followed.Counts()
		require.NoError(t, err)
		require.GreaterOrEqual(t, counts.Created, uint64(2*pairs))
		require.Zero(t, counts.Resynchronized)
	}
}

func live(n lifecycle.Counts) (sum int64) {
	for _, l := range n.Live {
		sum += l
	}
	return sum
}

// BenchmarkScrape reads all that a collection of metrics waits for, of a program with a million goroutines, and all these one by one, for which
// it does not wait. It tells what one takes of the kernel's memory.
func BenchmarkScrape(b *testing.B) {
	const million = 1_000_000
	testbuild.RequireRoot(b)
	exe := testbuild.Program(b, "busy", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(b, err)
	defer binary.Close()
	small, e := newEngine(b, 1<<10), newEngine(b, 1<<20)
	attachment, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(b, err)
	defer attachment.Close()
	p := testbuild.Start(b, exe, strconv.Itoa(million))
	p.GoOn()
	p.Line()
	followed, err := attachment.Follow(p.PID(), 0, engine.Settings{})
	require.NoError(b, err)
	found, err := snapshot.Source{PID: p.PID(), Binary: binary}.Read(b.Context())
	require.NoError(b, err)
	for _, g := range found {
		_, err := followed.Adopt(engine.Goroutine{G: g.G, GoID: g.GoID, State: g.State, Reason: g.WaitReason, Since: lifecycle.Now()})
		require.NoError(b, err)
	}
	b.Run("counts", func(b *testing.B) {
		for b.Loop() {
			counts, err := followed.Counts()
			require.NoError(b, err)
			require.Greater(b, live(counts), int64(million))
			_, err = e.Distributions()
			require.NoError(b, err)
		}
		b.ReportMetric(float64(e.Memory()-small.Memory())/(1<<20-1<<10), "kernel-B/goroutine")
	})
	b.Run("residents", func(b *testing.B) {
		for b.Loop() {
			residents := 0
			require.NoError(b, e.Goroutines(func(engine.ID, census.Resident) { residents++ }))
			require.Greater(b, residents, million)
		}
	})
}
