//go:build linux

package uprobe

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// TestKernelWithoutUprobes is refused once, whatever runs on it, with what it lacks.
func TestKernelWithoutUprobes(t *testing.T) {
	sys := t.TempDir()
	err := checkUprobes(sys)
	require.ErrorIs(t, err, engine.ErrKernel)
	require.ErrorContains(t, err, "mount sysfs")
	devices := filepath.Join(sys, "bus", "event_source", "devices")
	require.NoError(t, os.MkdirAll(filepath.Join(devices, "cpu"), 0o755))
	err = checkUprobes(sys)
	require.ErrorIs(t, err, engine.ErrKernel)
	require.ErrorContains(t, err, "CONFIG_UPROBE_EVENTS")
	require.NoError(t, os.MkdirAll(filepath.Join(devices, "uprobe"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(devices, "uprobe", "type"), []byte("8\n"), 0o644))
	require.NoError(t, checkUprobes(sys))
}

// TestExplain tells errors that are the kernel's, the user's, and those that pass.
func TestExplain(t *testing.T) {
	for cause, class := range map[error]error{
		unix.EPERM: engine.ErrPermission, unix.EACCES: engine.ErrPermission,
		unix.EMFILE: engine.ErrTooMany, unix.ENFILE: engine.ErrTooMany, unix.ENOMEM: engine.ErrTooMany, unix.E2BIG: engine.ErrTooMany,
		unix.EINVAL: unix.EINVAL,
	} {
		err := explain(&os.PathError{Op: "attach", Err: cause})
		require.ErrorIs(t, err, class)
		require.ErrorIs(t, err, cause)
		require.Equal(t, class == engine.ErrTooMany, errors.Is(err, engine.ErrTooMany), cause)
	}
}

// TestMemoryOfDistributions is taken when it is needed, where the kernel can do that.
func TestMemoryOfDistributions(t *testing.T) {
	for kernel, flags := range map[uint32]uint32{5<<16 | 15<<8: 0, 6<<16 | 1<<8: unix.BPF_F_NO_PREALLOC, 6<<16 | 18<<8 | 44: unix.BPF_F_NO_PREALLOC} {
		spec, err := bpf.LoadTracer()
		require.NoError(t, err)
		require.NoError(t, configure(spec, engine.Options{MaxGoroutines: 1024, BufferSize: 4096}, kernel))
		require.Equal(t, flags, spec.Maps[bpf.TracerMapHistograms].Flags)
	}
}
