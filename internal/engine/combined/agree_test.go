//go:build linux && amd64

package combined

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/uprobe"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestBothEnginesAgree has both engines follow one process at once: they count the same changes, of the same kinds.
func TestBothEnginesAgree(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, release := range []string{"go1.17.13", "go1.20.14", "go1.22.12", "go1.24.13", "", "go1.27.4"} {
		t.Run(release, func(t *testing.T) {
			exe := testbuild.Program(t, "storm", testbuild.Options{Version: release})
			p := testbuild.Start(t, exe, "20", "200")
			p.Line()
			o := engine.Options{MaxGoroutines: 4096, MaxGoroutinesPerProcess: 4096, BufferSize: 1 << 20}
			kernel, err := uprobe.New(o)
			require.NoError(t, err)
			user, err := trampoline.New(trampoline.Options{Options: o})
			require.NoError(t, err)
			first, second := follow(t, kernel, exe, p.PID()), follow(t, user, exe, p.PID())
			p.GoOn()
			require.Equal(t, "done", p.Line())
			require.Eventually(t, func() bool { return counts(t, first).Exited == 40 && counts(t, second).Exited == 40 }, 20*time.Second, 10*time.Millisecond)
			time.Sleep(50 * time.Millisecond) // the main goroutine reads again
			a, b := counts(t, first), counts(t, second)
			assert.Equal(t, a.Created, b.Created)
			assert.EqualValues(t, 40, b.Created)
			assert.Zero(t, b.EventsLost)
			assert.Equal(t, a.Transitions, b.Transitions)
			assert.Equal(t, a.Resynchronized, b.Resynchronized)
			assert.Equal(t, number(t, first), number(t, second))
		})
	}
}

func follow(t *testing.T, e engine.Engine, exe string, pid int) engine.Process {
	t.Helper()
	b, err := goexe.Open(exe)
	require.NoError(t, err)
	a, err := e.Attach(b, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	p, err := a.Follow(pid, 0, engine.Settings{})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, p.Unfollow())
		assert.NoError(t, a.Close())
		assert.NoError(t, e.Close())
		assert.NoError(t, b.Close())
	})
	return p
}

func counts(t *testing.T, p engine.Process) lifecycle.Counts {
	t.Helper()
	n, err := p.Counts()
	require.NoError(t, err)
	return n
}

// number returns how many durations there are of each kind, but for goroutines that were there before, whose first changes differ.
func number(t *testing.T, p engine.Process) map[lifecycle.HistogramKey]uint64 {
	t.Helper()
	d, err := p.Distributions()
	require.NoError(t, err)
	n := map[lifecycle.HistogramKey]uint64{}
	for key, h := range d.Histograms {
		n[key] = h.Count
	}
	return n
}
