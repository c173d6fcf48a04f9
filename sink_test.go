package goroutinereceiver

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/recording"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// A pipeline takes what is offered for its own, and lets its memory be used again, also if it refuses it.
func TestOffersAgainWhatAPoolingPipelineRefused(t *testing.T) {
	const pooling = "pdata.useProtoPooling"
	require.NoError(t, featuregate.GlobalRegistry().Set(pooling, true))
	t.Cleanup(func() { require.NoError(t, featuregate.GlobalRegistry().Set(pooling, false)) })
	var taken []string
	offered := 0
	pipeline, err := consumer.NewTraces(func(_ context.Context, traces ptrace.Traces) error {
		if pref.MarkPipelineOwnedTraces(traces) {
			defer pref.UnrefTraces(traces)
		}
		if offered++; offered == 1 {
			return errors.New("not now")
		}
		for _, s := range traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			taken = append(taken, s.Name())
		}
		return nil
	})
	require.NoError(t, err)
	f := &factory{shared: map[*Config]*shared{}}
	s, err := f.sharedFor(receivertest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config))
	require.NoError(t, err)
	s.nextTraces, s.nextLogs = pipeline, consumertest.NewNop()
	p := telemetry.NewProcess(telemetry.Identity{PID: 1}, pcommon.NewResource(), telemetry.Program{Symbols: recording.Symbols{}}, 0)
	s.Ended(p, &lifecycle.Goroutine{GoID: 1, Tree: lifecycle.Tree{Root: 1}, Start: 1, End: 2})
	s.Flush(make(chan struct{}), true)
	assert.Equal(t, 2, offered)
	assert.Equal(t, []string{"unknown"}, taken)
}
