//go:build linux

package cpuusage

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// write writes a file, and the directories above.
func write(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
}

// TestRunQueues has threads come and go between readings.
func TestRunQueues(t *testing.T) {
	task := t.TempDir()
	thread := func(id, content string) { write(t, task+"/"+id+"/schedstat", content+"\n") }
	var q runQueues
	waits := func(want time.Duration) {
		t.Helper()
		q.read(task)
		assert.Equal(t, want, q.waited)
	}
	thread("7", "500 1000 3")
	thread("8", "500 50 3")
	waits(0)
	assert.True(t, q.known)
	thread("7", "500 1001 4")
	thread("9", "1 10 1") // has begun since then
	waits(11)
	require.NoError(t, os.RemoveAll(task+"/9"))
	waits(11)
	thread("9", "1 100 1") // again
	waits(111)
	thread("8", "20 30 1") // another thread with the id, which waited 30 ns
	waits(141)
	require.NoError(t, os.Remove(task+"/7/schedstat"))
	require.NoError(t, os.Mkdir(task+"/7/schedstat", 0o755)) // cannot be read for now
	waits(141)
	require.NoError(t, os.Remove(task+"/7/schedstat"))
	thread("7", "600 1003 5")
	waits(143)
	q.read(task + "/gone")
	waits(143)
}

// TestKernelWithoutRunQueues has a kernel that says 0 of all.
func TestKernelWithoutRunQueues(t *testing.T) {
	task := t.TempDir()
	write(t, task+"/7/schedstat", "0 0 0\n")
	var q runQueues
	q.read(task)
	assert.False(t, q.known)
}

const mounts = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs ro,size=4096k
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
34 31 0:38 /pods /host\040groups rw,relatime - cgroup2 cgroup2 rw
35 31
`

// TestDirectories finds control groups, and those above them.
func TestDirectories(t *testing.T) {
	v1, v2 := []string{"cpu", "cpuacct"}, []string(nil)
	above := []hierarchy{{unified: true, root: "/..", directory: "/h"}}
	for _, c := range []struct {
		in   []hierarchy
		of   processes.Cgroup
		want []string
	}{
		{of: processes.Cgroup{Controllers: v1, Path: "/a/b"}, want: []string{"/sys/fs/cgroup/cpu,cpuacct/a/b", "/sys/fs/cgroup/cpu,cpuacct/a", "/sys/fs/cgroup/cpu,cpuacct"}},
		{of: processes.Cgroup{Controllers: v1, Path: "/"}, want: []string{"/sys/fs/cgroup/cpu,cpuacct"}},
		{of: processes.Cgroup{Controllers: []string{"cpuset"}, Path: "/a"}},
		{of: processes.Cgroup{Controllers: []string{"name=systemd"}, Path: "/a"}},
		{of: processes.Cgroup{Controllers: v2, Path: "/pods/a"}, want: []string{"/host groups/a", "/host groups"}},
		{of: processes.Cgroup{Controllers: v2, Path: "/pods"}, want: []string{"/host groups"}},
		{of: processes.Cgroup{Controllers: v2, Path: "/podsx"}},
		{of: processes.Cgroup{Controllers: v2, Path: "/a"}},
		{of: processes.Cgroup{Controllers: v2, Path: "/pods/../a"}},
		{in: above, of: processes.Cgroup{Controllers: v2, Path: "/../a"}, want: []string{"/h/a", "/h"}},
		{in: above, of: processes.Cgroup{Controllers: v2, Path: "/a"}},
		{in: above, of: processes.Cgroup{Controllers: v2, Path: "/../../a"}},
	} {
		if c.in == nil {
			c.in = parseHierarchies(mounts)
		}
		assert.Equal(t, c.want, directories(c.in, c.of), "%v", c.of)
	}
}

// TestQuotas has a process moved between control groups of both versions.
func TestQuotas(t *testing.T) {
	root := t.TempDir()
	q := quotas{hierarchies: []hierarchy{{root: "/", directory: root + "/1"}, {unified: true, root: "/", directory: root + "/2"}}}
	q.read(in("/a/b"))
	assert.False(t, q.known)
	write(t, root+"/1/a/cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 5000\n")
	write(t, root+"/1/a/b/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
	write(t, root+"/2/a/cpu.stat", "usage_usec 99\nnr_periods 10\nnr_throttled 4\nthrottled_usec 5\n")
	q.read(in("/a/b"))
	assert.True(t, q.known)
	assert.Zero(t, q.sum, "what was before")
	write(t, root+"/1/a/cpu.stat", "nr_periods 11\nnr_throttled 5\nthrottled_time 6000\n")
	write(t, root+"/1/a/b/cpu.stat", "nr_periods 2\nnr_throttled 2\nthrottled_time 7\n")
	write(t, root+"/2/a/cpu.stat", "usage_usec 99\nnr_periods 13\nnr_throttled 5\nthrottled_usec 7\n")
	q.read(in("/a/b"))
	want := Throttling{Periods: 6, Throttled: 4, Time: 3007}
	assert.Equal(t, want, q.sum)
	write(t, root+"/1/c/cpu.stat", "nr_periods 1000\nnr_throttled 100\nthrottled_time 100\n")
	q.read(in("/c"))
	assert.Equal(t, want, q.sum, "what was before it was moved")
	write(t, root+"/1/c/cpu.stat", "nr_periods 1\nnr_throttled 1\nthrottled_time 1\n") // another of that name
	q.read(in("/c"))
	assert.Equal(t, Throttling{Periods: 7, Throttled: 5, Time: 3008}, q.sum)
}

// in returns the groups of a process that is in the same one in both versions.
func in(path string) []processes.Cgroup {
	return []processes.Cgroup{{Controllers: []string{"cpu"}, Path: path}, {Path: path}}
}

// TestQuotaIsToldFromWork has two processes that do the same, one of them with a tenth of a CPU.
func TestQuotaIsToldFromWork(t *testing.T) {
	exe := testbuild.Program(t, "processor", testbuild.Options{})
	meter := func(cpus float64) *Meter {
		p := testbuild.Start(t, exe, "work", "1")
		testbuild.LimitCPU(t, p.PID(), cpus)
		require.Equal(t, "ready", p.Line())
		read, err := processes.Read(p.PID())
		require.NoError(t, err)
		return NewMeter(read)
	}
	limited, free := meter(0.1), meter(8)
	time.Sleep(time.Second)
	l, f := limited.Read(), free.Read()
	t.Logf("with a quota %+v %+v, without %+v %+v", *l, *l.Throttling, *f, *f.Throttling)
	require.True(t, l.RunQueueKnown)
	used := l.User + l.System
	assert.Positive(t, used)
	assert.Greater(t, l.RunQueue, 3*used)
	assert.Greater(t, l.Throttling.Time, used)
	assert.Greater(t, l.Throttling.Throttled, l.Throttling.Periods/2)
	assert.Positive(t, f.User+f.System)
	assert.Positive(t, f.Throttling.Periods)
	assert.Zero(t, f.Throttling.Throttled)
	assert.Zero(t, f.Throttling.Time)
}

// TestEndedProcess keeps what was read last of a process that has ended.
func TestEndedProcess(t *testing.T) {
	exe := testbuild.Program(t, "processor", testbuild.Options{})
	p := testbuild.Start(t, exe, "work", "1")
	require.Equal(t, "ready", p.Line())
	read, err := processes.Read(p.PID())
	require.NoError(t, err)
	m := NewMeter(read)
	require.Eventually(t, func() bool { return m.Read().User > 0 }, time.Minute, 10*time.Millisecond)
	last := m.Last()
	p.Stop()
	assert.Same(t, last, m.Read())
	other := read
	other.StartTime++
	assert.Nil(t, NewMeter(other).Read(), "of another process with the id")
}
