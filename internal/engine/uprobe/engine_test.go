//go:build linux

package uprobe

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
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

// TestDistributionsOfLateProcesses counts durations of a process that comes when there is no room any more for distributions as a whole: they
// are kept bucket by bucket, and are as many.
func TestDistributionsOfLateProcesses(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	e := newEngine(t, 4096)
	attachment, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	defer attachment.Close()
	for {
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
	var inBuckets uint64
	for _, n := range lifetimes.Buckets {
		inBuckets += n
	}
	require.GreaterOrEqual(t, lifetimes.Count, uint64(800))
	require.Equal(t, counts.Exited, lifetimes.Count)
	require.Equal(t, lifetimes.Count, inBuckets)
	require.Positive(t, lifetimes.Sum)
	require.NoError(t, e.eachDistribution(func(_ uint32, perCPU []bpf.TracerDistribution) {
		for i := range perCPU {
			require.Zero(t, perCPU[i].Sum, "it was kept as a whole")
		}
	}))
	require.NoError(t, followed.Unfollow())
	require.Eventually(t, func() bool {
		all, err = e.Distributions()
		return err != nil || len(all[followed.ID()].Histograms) == 0
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, err)
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
			require.NoError(b, e.Goroutines(func(engine.ID, waitstats.Goroutine) { residents++ }))
			require.Greater(b, residents, million)
		}
	})
}
