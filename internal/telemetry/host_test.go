//go:build linux

package telemetry

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMachineID reads it from the first file that has one: that of a machine image is empty until the machine starts.
func TestMachineID(t *testing.T) {
	dir := t.TempDir()
	missing, empty, set := filepath.Join(dir, "missing"), filepath.Join(dir, "empty"), filepath.Join(dir, "set")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	require.NoError(t, os.WriteFile(set, []byte("0123456789abcdef\n"), 0o600))
	assert.Equal(t, "0123456789abcdef", machineID(missing, empty, set))
	assert.Empty(t, machineID(missing, empty))
}
