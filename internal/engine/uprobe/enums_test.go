//go:build linux

package uprobe

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// TestEnumsAreThoseOfTheKernelSide compares values that both sides write as numbers.
func TestEnumsAreThoseOfTheKernelSide(t *testing.T) {
	for state, want := range map[lifecycle.State]bpf.TracerState{
		lifecycle.Dead:     bpf.TracerStateSTATE_DEAD,
		lifecycle.Runnable: bpf.TracerStateSTATE_RUNNABLE,
		lifecycle.Running:  bpf.TracerStateSTATE_RUNNING,
		lifecycle.Syscall:  bpf.TracerStateSTATE_SYSCALL,
		lifecycle.Waiting:  bpf.TracerStateSTATE_WAITING,
		lifecycle.States:   bpf.TracerStateSTATES,
	} {
		if bpf.TracerState(state) != want {
			t.Errorf("state %s is %d, the kernel side says %d", state, state, want)
		}
	}
	for kind, want := range map[lifecycle.HistogramKind]bpf.TracerHistogramKind{
		lifecycle.Lifetime:    bpf.TracerHistogramKindHISTOGRAM_LIFETIME,
		lifecycle.Schedule:    bpf.TracerHistogramKindHISTOGRAM_SCHEDULE,
		lifecycle.Run:         bpf.TracerHistogramKindHISTOGRAM_RUN,
		lifecycle.SyscallTime: bpf.TracerHistogramKindHISTOGRAM_SYSCALL,
		lifecycle.Wait:        bpf.TracerHistogramKindHISTOGRAM_WAIT,
	} {
		if bpf.TracerHistogramKind(kind) != want {
			t.Errorf("histogram kind %d is %d on the kernel side", kind, want)
		}
	}
}
