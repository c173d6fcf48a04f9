package uprobe

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// probed counts the sites at which a process, which runs an executable where it was linked, has something else in memory than in its file.
func probed(t testing.TB, pid int, binary *goexe.Binary, exe string) (n int) {
	t.Helper()
	file, err := os.Open(exe)
	require.NoError(t, err)
	defer file.Close()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	require.NoError(t, err)
	defer memory.Close()
	read := func(from io.ReaderAt, at uint64) []byte {
		code := make([]byte, 4)
		_, err := from.ReadAt(code, int64(at))
		require.NoError(t, err)
		return code
	}
	for _, s := range binary.Sites {
		if !bytes.Equal(read(file, s.Offset), read(memory, s.Address)) {
			n++
		}
	}
	return n
}

// TestOnlyGivenProcessesAreProbed attaches to two of three processes of a file: the third has no probe and hits none.
func TestOnlyGivenProcessesAreProbed(t *testing.T) {
	e := newEngine(t, 4096)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	var pids []int
	for range 3 {
		p := testbuild.Start(t, exe, "2", "20000000")
		p.Line()
		p.GoOn()
		pids = append(pids, p.PID())
	}
	const gone = 1 << 22 // above any process id
	_, err = e.Attach(binary, exe, engine.AttachOptions{Syscalls: true, PIDs: []int{gone}})
	require.ErrorIs(t, err, unix.ESRCH)
	a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true, PIDs: []int{gone, pids[0]}})
	require.NoError(t, err)
	all := len(binary.Sites)
	now := func() (found [3]int) {
		for i, pid := range pids {
			found[i] = probed(t, pid, binary, exe)
		}
		return found
	}
	require.Equal(t, [3]int{all, 0, 0}, now())
	require.NoError(t, a.Include(pids[1]))
	require.NoError(t, a.Include(pids[1]))
	require.Equal(t, [3]int{all, all, 0}, now())
	p, err := a.Follow(pids[0], 0, engine.Settings{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		counts, err := p.Counts()
		require.NoError(t, err)
		return counts.Transitions > 1000
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, a.Close())
	require.Equal(t, [3]int{}, now())
}

// TestNoRoomForProbes has no file descriptor left for a probe. That is no fault of the executable: it is attached to when there is room.
func TestNoRoomForProbes(t *testing.T) {
	e := newEngine(t, 4096)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	few := before
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	few.Cur = uint64(len(open)) + 4 // for one probe or two
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	_, err = e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	require.ErrorIs(t, err, engine.ErrTooMany)
	a, err := e.Attach(binary, exe, engine.AttachOptions{Syscalls: true})
	require.NoError(t, err)
	require.NoError(t, a.Close())
}
