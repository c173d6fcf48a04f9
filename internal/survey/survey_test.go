//go:build linux

package survey

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// watched is a surveyor of two copies of a program, the first of which does not tell of itself until it is let go.
type watched struct {
	*Surveyor
	hangs, other int
	asked        chan struct{} // closed when it was asked
	letGo        func()

	mu       sync.Mutex
	problems map[int]error
	followed map[int]bool
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "parked", testbuild.Options{})
	hangs, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	hangs = filepath.Join(hangs, "hangs")
	content, err := os.ReadFile(exe)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(hangs, content, 0o755))
	silence, asked := make(chan struct{}), make(chan struct{})
	w := &watched{
		asked: asked,
		hangs: testbuild.Start(t, hangs, "1").PID(), other: testbuild.Start(t, exe, "1").PID(), letGo: sync.OnceFunc(func() { close(silence) }),
		problems: map[int]error{}, followed: map[int]bool{},
	}
	w.Surveyor, err = New(Options{
		Selection:    processes.Selection{Targets: []processes.Selector{{PID: w.hangs}, {PID: w.other}}},
		BlockedAfter: time.Minute,
		Resource: func(p processes.Process, _ *goexe.Binary) pcommon.Resource {
			if p.PID == w.hangs {
				close(asked)
				<-silence
			}
			return pcommon.NewResource()
		},
		Logger:   zap.NewNop(),
		Problem:  func(p processes.Process, err error) { w.note(func() { w.problems[p.PID] = err }) },
		Followed: func(p processes.Process) { w.note(func() { w.followed[p.PID] = true }) },
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		w.letGo()
		assert.NoError(t, w.Stop(context.Background()))
	})
	return w
}

func (w *watched) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// collects calls Collect until it has figures of so many processes.
func (w *watched) collects(t *testing.T, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, _ := w.Collect(t.Context())
		return len(got) == want
	}, time.Minute, 50*time.Millisecond)
}

// TestSilentProcess has a process that does not let itself be read: the other is counted nevertheless, and so is that one when it answers.
func TestSilentProcess(t *testing.T) {
	w := newWatched(t)
	w.collects(t, 1)
	n, _ := w.Health()
	assert.Equal(t, 1, n)
	assert.ErrorIs(t, w.problems[w.hangs], processes.ErrNoAnswer)
	assert.Equal(t, map[int]bool{w.other: true}, w.followed)
	w.letGo()
	w.collects(t, 2)
	assert.Equal(t, map[int]bool{w.hangs: true, w.other: true}, w.followed)
}

// TestCollectEndsWithContext cancels a collection that waits for a process.
func TestCollectEndsWithContext(t *testing.T) {
	w := newWatched(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Collect(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, w.problems, "of what was not waited for")
}

// TestStopWithSilentProcess stops while a collection waits for a process, which nobody ever lets go.
func TestStopWithSilentProcess(t *testing.T) {
	w := newWatched(t)
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		_, _ = w.Collect(t.Context())
	}()
	<-w.asked
	assert.NoError(t, w.Stop(t.Context()))
	<-collected
}
