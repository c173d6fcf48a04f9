//go:build linux

package goroutinereceiver

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/outlet"
	"github.com/otelgoroutine/goroutinereceiver/internal/recording"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// stuck is a source that does not stop before it is released.
type stuck struct {
	source
	release chan struct{}
}

func (s stuck) Stop(ctx context.Context) error {
	select {
	case <-s.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sharedWith returns the receiver of traces and metrics around a source, as it is after Start.
func sharedWith(t *testing.T, source source, traces consumer.Traces) *shared {
	t.Helper()
	f := &factory{shared: map[*Config]*shared{}}
	s, err := f.sharedFor(receivertest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config))
	require.NoError(t, err)
	s.nextTraces, s.source, s.started = traces, source, true
	s.outlet = outlet.New(outlet.Options{Traces: traces, Report: s.obs, Logger: s.set.Logger})
	return s
}

// aProcess is one whose goroutines can be told of.
func aProcess() *telemetry.Process {
	return telemetry.NewProcess(telemetry.Identity{PID: 1}, pcommon.NewResource(), telemetry.Program{Symbols: recording.Symbols{}}, 0)
}

func aLife() *lifecycle.Goroutine {
	return &lifecycle.Goroutine{GoID: 1, Tree: lifecycle.Tree{Root: 1}, Start: 1, End: 2}
}

// hangs returns a consumer of traces that waits until the test ends, and a channel that says that it does.
func hangs(t *testing.T) (consumer.Traces, chan struct{}) {
	began, release := make(chan struct{}, 1), make(chan struct{})
	t.Cleanup(func() { close(release) })
	hang, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error {
		began <- struct{}{}
		<-release
		return nil
	})
	require.NoError(t, err)
	return hang, began
}

func TestFlushDoesNotWaitForThePipeline(t *testing.T) {
	hang, began := hangs(t)
	s := sharedWith(t, nil, hang)
	for range 3 {
		s.Ended(aProcess(), aLife())
		s.Flush(true)
	}
	<-began // the rest waits in the outlet, and not here
	assert.Zero(t, s.spans.Len())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.outlet.Shutdown(ended)
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	source := stuck{release: make(chan struct{})}
	defer close(source.release)
	hang, began := hangs(t)
	s := sharedWith(t, source, hang)
	s.Ended(aProcess(), aLife())
	s.Flush(true)
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(ctx) }()
	select {
	case err := <-ended:
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	case <-time.After(patience):
		t.Fatal("Shutdown waits for the source or the pipeline")
	}
}

// The collector sets no deadline at SIGTERM, and its scraper controller waits for the pipeline however long that takes.
func TestShutdownWithHangingMetricsPipeline(t *testing.T) {
	for name, heeds := range map[string]bool{"that heeds its context": true, "that ignores its context": false} {
		t.Run(name, func(t *testing.T) {
			began, release := make(chan struct{}), make(chan struct{})
			defer close(release)
			var once sync.Once
			hang, err := consumer.NewMetrics(func(ctx context.Context, _ pmetric.Metrics) error {
				once.Do(func() { close(began) })
				if heeds {
					<-ctx.Done()
					return ctx.Err()
				}
				<-release
				return nil
			})
			require.NoError(t, err)
			f := NewFactory()
			cfg := f.CreateDefaultConfig().(*Config)
			cfg.Mode, cfg.InitialDelay = modeSnapshot, 0
			r, err := f.CreateMetrics(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, hang)
			require.NoError(t, err)
			require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
			<-began
			ended := make(chan error, 1)
			go func() { ended <- r.Shutdown(context.Background()) }()
			select {
			case err := <-ended:
				assert.Equal(t, heeds, err == nil, err)
			case <-time.After(2 * shutdownLimit):
				t.Fatal("Shutdown waits for the pipeline")
			}
		})
	}
}
