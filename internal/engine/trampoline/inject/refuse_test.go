//go:build linux

package inject

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestTraced refuses a process that has a tracer already.
func TestTraced(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	of, err := program.open(p.PID())
	require.NoError(t, err)
	defer of.close()
	require.NoError(t, of.trace(func(tr *tracer) error {
		_, err := tr.seizeAll()
		refused(t, engine.RefusedTraced, p.PID(), program)
		return err
	}))
	cycle(t, p.PID(), program)
	require.NoError(t, of.trace(func(tr *tracer) error { // another thread than the first
		ids, err := of.ids()
		require.NoError(t, err)
		_, err = tr.seize(ids[len(ids)-1], 0)
		require.NoError(t, err)
		_, err = Install(p.PID(), program)
		requireReason(t, engine.RefusedTraced, err)
		return nil
	}))
	cycle(t, p.PID(), program)
	well(t, p)
}

// TestForeignBytes refuses a process whose code is not that of its executable.
func TestForeignBytes(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	fd := uprobe(t, mustOpen(t, p.PID(), program), program.Sites[0].Address)
	refused(t, engine.RefusedForeignBytes, p.PID(), program)
	require.NoError(t, unix.Close(fd))
	require.NotContains(t, mapped(t, p.PID()), MemoryName)
	cycle(t, p.PID(), program)
}

func mustOpen(t testing.TB, pid int, program Program) *process {
	t.Helper()
	p, err := program.open(pid)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.close() })
	return p
}

// TestNoRoom refuses a process without free addresses below its executable.
func TestNoRoom(t *testing.T) {
	testbuild.RequireRoot(t)
	p := confined(t, "full")
	refused(t, engine.RefusedNoRoom, p.PID(), programFor(t, p.PID()))
}

// TestNothingToReplace refuses an executable without sites.
func TestNothingToReplace(t *testing.T) {
	refused(t, engine.RefusedCode, os.Getppid(), Program{})
}

// TestOwnProcess refuses the process that this is.
func TestOwnProcess(t *testing.T) {
	refused(t, engine.RefusedPermission, os.Getpid(), Program{Sites: make([]Site, 1)})
}

// unprivileged is set for a copy of the test that checks a process without a privilege: "PID WHICH".
const unprivileged = "INJECT_UNPRIVILEGED"

// checkUnprivileged writes why a process is refused.
func checkUnprivileged(how string) error {
	var pid int
	var which string
	if _, err := fmt.Sscan(how, &pid, &which); err != nil {
		return err
	}
	program, err := counters(pid)
	if err != nil {
		return err
	}
	switch which {
	case "user":
		err = syscall.Setuid(65534)
	case "admin":
		err = dropAdmin()
	}
	if err != nil {
		return err
	}
	fmt.Println(Check(pid, program))
	return nil
}

// dropAdmin gives up CAP_SYS_ADMIN in all threads (capset(2)).
func dropAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for _, set := range []*uint32{&data[0].Effective, &data[0].Permitted} {
		*set &^= 1 << unix.CAP_SYS_ADMIN
	}
	return unix.Capset(&header, &data[0])
}

// TestUnprivileged refuses what this process may not do.
func TestUnprivileged(t *testing.T) {
	testbuild.RequireRoot(t)
	for which, c := range map[string]struct {
		why engine.Reason
		p   *testbuild.Running
	}{
		"user":  {engine.RefusedPermission, exact(t, testbuild.Options{})},
		"admin": {engine.RefusedSeccomp, confined(t, "seccomp")},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", unprivileged, c.p.PID(), which), "GOMAXPROCS=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.True(t, strings.HasPrefix(string(out), string(c.why)+": "), "%s: %s", which, out)
	}
}

// TestYama tells the refusals of Yama from others.
func TestYama(t *testing.T) {
	for scope, want := range map[string][2]engine.Reason{ // without and with CAP_SYS_PTRACE
		"":  {engine.RefusedPermission, engine.RefusedPermission},
		"0": {engine.RefusedPermission, engine.RefusedPermission},
		"1": {engine.RefusedYama, engine.RefusedPermission},
		"2": {engine.RefusedYama, engine.RefusedPermission},
		"3": {engine.RefusedYama, engine.RefusedYama},
	} {
		yama := fstest.MapFS{}
		if scope != "" {
			yama["ptrace_scope"] = &fstest.MapFile{Data: []byte(scope + "\n")}
		}
		requireReason(t, want[0], refusalOf(unix.EPERM, yama, false))
		requireReason(t, want[1], refusalOf(unix.EPERM, yama, true))
	}
}

// TestMemoryProtection tells refusals to write or map code, as of SELinux or proc_mem.force_override=never, from other errors.
func TestMemoryProtection(t *testing.T) {
	for _, err := range []error{unix.EIO, unix.EPERM, unix.EACCES} {
		requireReason(t, engine.RefusedMemoryProtection, writeError(0x1000, &os.PathError{Err: err}))
	}
	for _, err := range []error{unix.EACCES, unix.EPERM} {
		requireReason(t, engine.RefusedMemoryProtection, textError(err))
	}
	requireReason(t, engine.RefusedNoRoom, textError(unix.EEXIST))
	require.ErrorIs(t, writeError(0x1000, io.ErrUnexpectedEOF), unix.ESRCH)
	require.False(t, isReason(engine.RefusedMemoryProtection, writeError(0x1000, unix.EFAULT)))
	require.False(t, isReason(engine.RefusedMemoryProtection, textError(unix.ENOMEM)))
	require.NoError(t, writeError(0x1000, nil))
	require.NoError(t, textError(nil))
}

// TestRoom finds free addresses.
func TestRoom(t *testing.T) {
	const from, to = 0x10000, 0x400000
	at := func(from, to uint64) mapping { return mapping{start: from, end: to} }
	for name, c := range map[string]struct {
		taken mappings
		to    uint64
		want  uint64
	}{
		"free":         {mappings{at(to+guard, 0x500000)}, to, to - TextSize},
		"below others": {mappings{at(0x3d0000, 0x3f8000), at(to, 0x500000)}, to, 0x3d0000 - guard - TextSize},
		"far others":   {mappings{at(0x10000, 0x11000), at(to+guard, 0x500000)}, to, to - TextSize},
		"between":      {mappings{at(0x10000, 0x200000), at(0x300000, 0x3f0000), at(to, 0x500000)}, to, 0x300000 - guard - TextSize},
		"full":         {mappings{at(0x10000, 0x3f0000), at(to, 0x500000)}, to, 0},
		"no addresses": {nil, from + TextSize - 1, 0},
		"uneven end":   {nil, to - 1, to - pageSize - TextSize},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.taken.room(from, c.to)
			if c.want == 0 {
				requireReason(t, engine.RefusedNoRoom, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// TestBusy gives up in time if a thread does not stop, and leaves nothing behind.
func TestBusy(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	of := mustOpen(t, p.PID(), program)
	began := time.Now()
	err := of.trace(func(tr *tracer) error {
		th, err := tr.seize(p.PID(), 0)
		require.NoError(t, err)
		return tr.await(th, time.Now().Add(50*time.Millisecond)) // nobody has interrupted it
	})
	require.ErrorIs(t, err, errBusy)
	require.Less(t, time.Since(began), 5*time.Second)
	require.Zero(t, tracers(t, p.PID()))
	well(t, p)
}
