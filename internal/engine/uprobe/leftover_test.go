//go:build linux

package uprobe

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestNothingIsWrittenAfterUnfollow looks for long at a process, which is not followed any more when the look ends: what was found is not
// taken for the goroutines of whom the slot is by then.
func TestNothingIsWrittenAfterUnfollow(t *testing.T) {
	e := newEngine(t, 4096)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	a, err := e.Attach(binary, exe, engine.AttachOptions{PIDs: []int{os.Getpid()}})
	require.NoError(t, err)
	defer a.Close()
	old, err := a.Follow(os.Getpid(), 0, engine.Settings{})
	require.NoError(t, err)
	before, err := old.Counts()
	require.NoError(t, err)
	require.NoError(t, old.Unfollow())
	require.Eventually(t, func() bool { return !slices.Contains(e.slots.inUse(), uint32(old.ID())) }, 5*time.Second, time.Millisecond)
	next, err := a.Follow(os.Getpid(), 0, engine.Settings{})
	require.NoError(t, err)
	require.Equal(t, old.ID(), next.ID())
	now := lifecycle.Now()
	found := engine.Goroutine{G: 1 << 20, GoID: 1, State: lifecycle.Waiting, Since: now}
	_, err = old.Adopt(found)
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = old.Repair(now, []engine.Goroutine{found})
	require.ErrorIs(t, err, os.ErrClosed)

	adopted, err := next.Adopt(engine.Goroutine{G: 1 << 20, GoID: 2, State: lifecycle.Running, Since: now})
	require.NoError(t, err)
	repeats := make([]bpf.TracerCounters, e.cpus)
	repeats[0].Repeats = 1
	require.NoError(t, e.objects.Counts.Put(uint32(next.ID()), repeats))
	counts, err := old.Counts()
	require.NoError(t, err)
	require.Equal(t, before, counts, "what another does counts as the process's")
	require.True(t, adopted, "a goroutine of another process is known in its place")
	wrong, err := old.Repair(now+2*engine.Settled, nil)
	require.ErrorIs(t, err, os.ErrClosed)
	require.Zero(t, wrong)
	alive, _ := next.Status(1<<20, 2)
	require.True(t, alive, "a goroutine of another process is taken for dead")
	require.ErrorIs(t, old.Throttle(1), os.ErrClosed)
	require.NoError(t, old.Unfollow(), "a second time")
	require.True(t, next.Followed(), "the process is left as which another is followed")
	require.NoError(t, next.Unfollow())
}

// TestRejectedZombie rejects a process that has ended, though its parent does not know so yet: its id is free for another.
func TestRejectedZombie(t *testing.T) {
	e := newEngine(t, 4096)
	command := exec.Command("true")
	require.NoError(t, command.Start())
	pid := command.Process.Pid
	require.Eventually(t, func() bool {
		_, err := processes.LiveThread(pid)
		return err != nil
	}, 5*time.Second, time.Millisecond)
	slot, err := e.slots.take()
	require.NoError(t, err)
	require.NoError(t, e.Reject(pid, engine.ID(slot)))
	var now uint32
	require.ErrorIs(t, e.objects.Targets.Lookup(uint32(pid), &now), ebpf.ErrKeyNotExist)
	require.NoError(t, command.Wait())
}

// singly makes each probe of an engine a link of its own, as on older kernels.
func singly(t *testing.T, e *Engine) {
	t.Helper()
	spec, err := bpf.LoadTracer()
	require.NoError(t, err)
	require.NoError(t, configure(spec, e.options, probesAtOnce))
	var objects struct {
		OnChange *ebpf.Program `ebpf:"on_change"`
	}
	require.NoError(t, spec.LoadAndAssign(&objects, nil))
	require.NoError(t, e.objects.OnChange.Close())
	e.objects.OnChange, e.atOnce = objects.OnChange, false
}

// TestNoProbesLeftWhereTheyFail puts probes on a process of which one finds no place: none of the others stays.
func TestNoProbesLeftWhereTheyFail(t *testing.T) {
	e := newEngine(t, 4096)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	binary, err := goexe.Open(exe)
	require.NoError(t, err)
	defer binary.Close()
	p := testbuild.Start(t, exe, "2", "100")
	p.Line()
	singly(t, e)
	a, err := e.Attach(binary, exe, engine.AttachOptions{PIDs: []int{os.Getpid()}})
	require.NoError(t, err)
	defer a.Close()
	of := a.(*Attachment)
	before := len(of.links)
	of.sites = append(of.sites, goexe.Site{Function: "none", Offset: 1 << 40})
	require.Error(t, a.Include(p.PID()))
	require.Len(t, of.links, before)
	require.Zero(t, probed(t, p.PID(), binary, exe))
}
