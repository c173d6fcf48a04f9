//go:build linux

package goroutinereceiver

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/combined"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginefake"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline"
	"github.com/otelgoroutine/goroutinereceiver/internal/session"
)

// TestEngines makes each kind of engine where not all can be had.
func TestEngines(t *testing.T) {
	refusal, broken := engine.Refuse(engine.RefusedTSC, "the clock is no clock"), errors.New("broken")
	const none, kernel, user, both = "none", "kernel", "user", "both"
	for _, test := range []struct {
		kind                  Engine
		kernelErr, userErr    error
		want                  string
		trampolines           session.Trampolines
		err                   error
		refusals, kernelBytes int
	}{
		{kind: engineUprobe, want: kernel, kernelBytes: 8 << 20},
		{kind: engineUprobe, kernelErr: engine.ErrPermission, want: none, err: engine.ErrPermission, kernelBytes: 8 << 20},
		{kind: engineAuto, want: both, trampolines: session.TrampolinesAtCost, kernelBytes: 8 << 20},
		{kind: engineAuto, userErr: refusal, want: kernel, refusals: 1, kernelBytes: 8 << 20},
		{kind: engineAuto, userErr: broken, want: none, err: broken, kernelBytes: 8 << 20},
		{kind: engineAuto, kernelErr: engine.ErrPermission, want: none, err: engine.ErrPermission, kernelBytes: 8 << 20},
		{kind: engineTrampoline, want: both, trampolines: session.TrampolinesOnly, kernelBytes: minRingBuffer},
		{kind: engineTrampoline, kernelErr: engine.ErrPermission, want: user, trampolines: session.TrampolinesOnly, kernelBytes: minRingBuffer},
		{kind: engineTrampoline, userErr: refusal, want: none, trampolines: session.TrampolinesOnly, err: refusal, kernelBytes: minRingBuffer},
		{kind: engineTrampoline, kernelErr: engine.ErrKernel, userErr: refusal, want: none, trampolines: session.TrampolinesOnly, err: refusal, kernelBytes: minRingBuffer},
	} {
		t.Run(string(test.kind)+" makes "+test.want, func(t *testing.T) {
			ofKernel, ofUser, refusals := enginefake.New(0), enginefake.New(combined.FirstUserID-1), 0
			opened, trampolines, err := engines{
				uprobe: func(o engine.Options) (engine.Engine, error) {
					require.Equal(t, test.kernelBytes, o.BufferSize)
					return ofKernel, test.kernelErr
				},
				trampoline: func(o trampoline.Options) (engine.Engine, error) {
					require.Equal(t, combined.FirstUserID, o.FirstID)
					require.Equal(t, 0.2, o.CPU)
					require.Equal(t, 8<<20, o.BufferSize)
					require.Equal(t, test.want == user || test.kernelErr != nil, o.Ready == nil, "nobody is told of its events")
					return ofUser, test.userErr
				},
				refused: func(error) { refusals++ },
				logger:  zap.NewNop(),
			}.open(test.kind, trampoline.Options{Options: engine.Options{BufferSize: 8 << 20}, CPU: 0.2})
			require.Equal(t, test.trampolines, trampolines)
			require.Equal(t, test.refusals, refusals)
			if test.err != nil {
				require.ErrorIs(t, err, test.err)
				require.Equal(t, test.kernelErr == nil, ofKernel.Closed(), "an engine is left open")
				return
			}
			require.NoError(t, err)
			switch test.want {
			case kernel:
				require.Same(t, ofKernel, opened)
			case user:
				require.Same(t, ofUser, opened)
			default:
				require.IsType(t, &combined.Engine{}, opened)
			}
		})
	}
}
