//go:build linux

package goroutinereceiver

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

func TestReasonOf(t *testing.T) {
	_, notGo := goexe.Open("/bin/sh")
	require.Error(t, notGo)
	_, noProcess := processes.Read(1<<22 + 1)
	require.Error(t, noProcess)
	for want, errs := range map[string][]error{
		"permission": {engine.ErrPermission, syscall.EPERM, &os.PathError{Err: syscall.EACCES}},
		"kernel":     {fmt.Errorf("%w: no uprobes", engine.ErrKernel)},
		"not_go":     {notGo},
		"layout":     {fmt.Errorf("%w: go9.9", goexe.ErrUnsupported)},
		"resources":  {engine.ErrTooMany, syscall.ENOMEM, syscall.EMFILE},
		"gone":       {noProcess, syscall.ESRCH},
		"refused":    {engine.Refuse(engine.RefusedPermission, "ptrace: %w", syscall.EPERM)},
		"other":      {errors.New("something else")},
	} {
		for _, err := range errs {
			assert.Equal(t, want, reasonOf(fmt.Errorf("process 7 (/bin/x): %w", err)).String(), err)
		}
	}
}

// TestEveryRefusalHasItsReason has the metric's reasons be those that engines give.
func TestEveryRefusalHasItsReason(t *testing.T) {
	for _, why := range engine.Reasons {
		err := fmt.Errorf("process 7: %w", engine.Refuse(why, "it is so"))
		assert.Equal(t, string(why), refusalOf(err).String())
	}
	assert.Len(t, metadata.MapAttributeTrampolineReason, len(engine.Reasons)+1)
	assert.Equal(t, "other", refusalOf(errors.New("something else")).String())
}

// Whatever attributes are asked for, estimates are not added to what was seen.
func TestEstimatesStayApart(t *testing.T) {
	c := createDefaultConfig().(*Config)
	c.Metrics.GoGoroutineCreated.EnabledAttributes = nil
	c.Metrics.GoGoroutineExited.EnabledAttributes = c.Metrics.GoGoroutineExited.EnabledAttributes[:0]
	got := withEstimatesApart(c.Metrics.MetricsConfig)
	assert.Len(t, got.GoGoroutineCreated.EnabledAttributes, 1)
	assert.Len(t, got.GoGoroutineExited.EnabledAttributes, 1)
	assert.Equal(t, c.Metrics.GoGoroutineTime.EnabledAttributes, got.GoGoroutineTime.EnabledAttributes)
	assert.Empty(t, c.Metrics.GoGoroutineCreated.EnabledAttributes, "the configuration itself stays")
}
