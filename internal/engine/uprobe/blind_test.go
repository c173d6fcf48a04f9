//go:build linux

package uprobe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestSystemCallsWithoutTheirProbes has a program that reads its standard input when it begins to be followed, without the probes that see
// system calls end. It is in that call until it does something else that is seen, and nothing is taken for missed.
func TestSystemCallsWithoutTheirProbes(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "handoffs", testbuild.Options{Version: "go1.26.8"})
	p := testbuild.Start(t, exe, "0.2")
	require.Equal(t, "ready", p.Line())
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	e := newEngine(t, 4096)
	attachment, err := e.Attach(binary, exe, engine.AttachOptions{})
	require.NoError(t, err)
	defer attachment.Close()
	followed, err := attachment.Follow(p.PID(), 0, engine.Settings{})
	require.NoError(t, err)
	inSyscalls := 0
	var living []engine.Goroutine
	require.Eventually(t, func() bool { // from "ready" on, it takes a moment until it reads
		inSyscalls, living = 0, nil
		require.NoError(t, snapshot.Source{PID: p.PID(), Binary: binary}.Each(t.Context(), func(g snapshot.Goroutine) error {
			k := followed.AsSeen(engine.Goroutine{G: g.G, GoID: g.GoID, State: g.State, Reason: g.WaitReason, Since: lifecycle.Now()})
			if k.State == lifecycle.Syscall {
				inSyscalls++
			}
			living = append(living, k)
			return nil
		}))
		return inSyscalls == 1
	}, 10*time.Second, 10*time.Millisecond, "the main goroutine reads its standard input")
	for _, k := range living {
		_, err := followed.Adopt(k)
		require.NoError(t, err)
	}
	const rest = 300 * time.Millisecond
	time.Sleep(rest)
	n, err := followed.Counts()
	require.NoError(t, err)
	require.EqualValues(t, 1, n.Live[lifecycle.Syscall])
	require.Zero(t, n.Live[lifecycle.Running])
	require.GreaterOrEqual(t, time.Duration(n.Time[lifecycle.Syscall]), rest)
	require.Zero(t, n.Time[lifecycle.Running], "it has not run")

	p.GoOn()
	p.Line() // it has worked for a while, and reads again: that is not seen
	n, err = followed.Counts()
	require.NoError(t, err)
	require.Positive(t, n.Transitions)
	require.Positive(t, n.Time[lifecycle.Running], "it has run")
	require.Zero(t, n.Live[lifecycle.Syscall])
	require.Zero(t, n.Resynchronized, "changes are taken for missed")
	syscall := n.Time[lifecycle.Syscall]
	time.Sleep(rest)
	n, err = followed.Counts()
	require.NoError(t, err)
	require.Equal(t, syscall, n.Time[lifecycle.Syscall])
	d, err := e.Distributions()
	require.NoError(t, err)
	require.Nil(t, d[followed.ID()].Histograms[lifecycle.HistogramKey{Kind: lifecycle.SyscallTime}], "how long a call took is not known without its end")
	require.NoError(t, followed.Unfollow())
}
