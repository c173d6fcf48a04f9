//go:build linux

package trampoline

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestThreadIDs(t *testing.T) {
	own := newThreadIDs(os.Getpid())
	assert.Equal(t, os.Getpid(), own.own(uint64(os.Getpid())))
	assert.Zero(t, own.own(0))
	assert.Zero(t, own.own(1<<40))
}

// TestThreadIDsOfANamespace asks for the first thread of a process that is the first one in its PID namespace.
func TestThreadIDsOfANamespace(t *testing.T) {
	testbuild.RequireRoot(t)
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	nested := newThreadIDs(cmd.Process.Pid)
	assert.Equal(t, cmd.Process.Pid, nested.own(1))
	assert.Zero(t, nested.own(uint64(cmd.Process.Pid)), "it has another id there")
}
