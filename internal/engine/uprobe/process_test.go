//go:build linux

package uprobe

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// TestWaitReasonsDoNotAlias has more than 64 of them, the 69th of which keeps its thread, as the fifth does not, and more than a byte tells apart.
func TestWaitReasonsDoNotAlias(t *testing.T) {
	b := &goexe.Binary{Layout: &goexe.Layout{GoVersion: "go1.26.0"}}
	for i := range 300 {
		b.WaitReasons = append(b.WaitReasons, fmt.Sprint("reason ", i))
	}
	b.WaitReasons[68], b.WaitReasons[69], b.WaitReasons[260] = "stopping the world", "preempted", "GC mark termination"
	p := &Process{value: layoutOf(b)}
	for reason := range 256 {
		seen := p.AsSeen(engine.Goroutine{State: lifecycle.Waiting, Reason: uint8(reason)})
		require.Equal(t, reason == 68, seen.State == lifecycle.Running, "reason %d", reason)
	}
	require.EqualValues(t, 69, p.value.PreemptedReason)
}
