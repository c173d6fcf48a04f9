//go:build linux

package uprobe

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestManyProcesses follows 1 100 processes of 60 executables at once: of each, all durations are counted.
func TestManyProcesses(t *testing.T) {
	const executables, processes = 60, 1100
	e := newEngine(t, 32<<10)
	program, err := os.ReadFile(testbuild.Program(t, "storm", testbuild.Options{}))
	require.NoError(t, err)
	dir := t.TempDir()
	type one struct {
		*testbuild.Running
		followed engine.Process
	}
	var all []one
	for i := range executables {
		exe := filepath.Join(dir, strconv.Itoa(i))
		require.NoError(t, os.WriteFile(exe, program, 0o755))
		binary, err := goexe.Open(exe)
		require.NoError(t, err)
		defer binary.Close()
		a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
		require.NoError(t, err)
		defer a.Close()
		for range (processes + executables - 1) / executables {
			p := testbuild.Start(t, exe, "2", "20")
			p.Line()
			followed, err := a.Follow(p.PID(), 0, engine.Settings{})
			require.NoError(t, err)
			all = append(all, one{p, followed})
		}
	}
	for _, p := range all {
		p.GoOn()
		require.Equal(t, "done", p.Line())
	}
	distributions, err := e.Distributions()
	require.NoError(t, err)
	for _, p := range all {
		counts, err := p.followed.Counts()
		require.NoError(t, err)
		require.Zero(t, counts.BucketsLost)
		lives := distributions[p.followed.ID()].Histograms[lifecycle.HistogramKey{Kind: lifecycle.Lifetime}]
		require.NotNil(t, lives)
		require.GreaterOrEqual(t, lives.Count, uint64(4))
		require.LessOrEqual(t, lives.Count, counts.Exited)
		require.NoError(t, p.followed.Unfollow())
	}
}

// TestNoRoomForProcesses follows as many processes as there is room for. The next finds room when one is left.
func TestNoRoomForProcesses(t *testing.T) {
	e := newEngine(t, 4096)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	defer a.Close()
	const first = 1 << 22 // above any process id
	var last engine.Process
	for pid := first; ; pid++ {
		p, err := a.Follow(pid, 0, engine.Settings{})
		if err != nil {
			require.ErrorIs(t, err, engine.ErrTooMany)
			require.Equal(t, maxProcesses-stockedSlots, pid-first)
			break
		}
		last = p
	}
	require.NoError(t, last.Unfollow())
	require.Eventually(t, func() bool {
		_, err := a.Follow(first+maxProcesses, 0, engine.Settings{})
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
}

// TestNoRoomForDistributions fills what room there is: durations that find none are counted, and the log says so once.
func TestNoRoomForDistributions(t *testing.T) {
	testbuild.RequireRoot(t)
	core, logged := observer.New(zap.WarnLevel)
	e, err := New(engine.Options{MaxGoroutines: 4096, MaxGoroutinesPerProcess: 4096, BufferSize: 1 << 20, Logger: zap.New(core)})
	require.NoError(t, err)
	defer e.Close()
	keys := make([]bpf.TracerBucketKey, maxBuckets)
	for i := range keys {
		keys[i] = bpf.TracerBucketKey{Slot: uint16(maxProcesses + i>>16), Kind: uint8(lifecycle.Wait), Bucket: uint16(i)}
	}
	_, err = e.objects.Histograms.BatchUpdate(keys, make([]bpf.TracerBucket, maxBuckets), nil)
	require.NoError(t, err)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	defer a.Close()
	p := testbuild.Start(t, exe, "4", "100")
	p.Line()
	followed, err := a.Follow(p.PID(), 0, engine.Settings{})
	require.NoError(t, err)
	p.GoOn()
	require.Equal(t, "done", p.Line())
	for range 2 {
		counts, err := followed.Counts()
		require.NoError(t, err)
		require.Positive(t, counts.BucketsLost)
	}
	require.Equal(t, 1, logged.Len())
}
