//go:build linux

package uprobe

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestAllHitsAreTold has the kernel count how often the programs run while probes come and go, of two processes of which one is followed for
// some of the time: what the engine tells of is as many.
func TestAllHitsAreTold(t *testing.T) {
	e := newEngine(t, 4096)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	followed, other := testbuild.Start(t, exe, "8", "1000000"), testbuild.Start(t, exe, "8", "1000000")
	for _, p := range []*testbuild.Running{followed, other} {
		p.Line()
		p.GoOn() // and goes on until it is ended
	}
	on, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	require.NoError(t, err)
	defer on.Close()

	a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	p, err := a.Follow(followed.PID(), 0, engine.Settings{})
	require.NoError(t, err)
	var counted uint64
	for counted < 10_000 {
		counts, err := p.Counts()
		require.NoError(t, err)
		counted = counts.Hits()
	}
	require.NoError(t, p.Unfollow())
	require.NoError(t, a.Close())

	others, err := a.HitsOfOthers()
	require.NoError(t, err)
	_, ran, err := e.runTime()
	require.NoError(t, err)
	require.Greater(t, others, uint64(1000), "the other process has hit no probes")
	require.InEpsilon(t, ran, counted+others, 0.001, "%d hits of the followed process, %d of others", counted, others)
}
