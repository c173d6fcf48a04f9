package testbuild

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// LimitCPU puts a process into a control group of its own below one with a quota of CPUs, such as 0.1, until the test ends: as in a pod of
// Kubernetes, the quota is not the process's own group's.
func LimitCPU(t testing.TB, pid int, cpus float64) {
	t.Helper()
	RequireRoot(t)
	root, unified := cgroupRoot(t)
	limited, err := os.MkdirTemp(root, "limited")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(limited, "own")
	t.Cleanup(func() {
		_ = write(filepath.Join(root, "cgroup.procs"), strconv.Itoa(pid)) // if it lives
		for _, directory := range []string{own, limited} {
			if err := os.Remove(directory); err != nil {
				t.Error(err)
			}
		}
	})
	const period = 100_000 // µs
	quota, file := strconv.Itoa(int(cpus*period)), "cpu.cfs_quota_us"
	weight, weights := "262144", "cpu.shares" // the most there is, so that it is the quota that limits on a busy machine too
	if unified {
		quota, file = fmt.Sprintf("%s %d", quota, period), "cpu.max"
		weight, weights = "10000", "cpu.weight"
	}
	for _, step := range []func() error{
		func() error { return write(filepath.Join(limited, file), quota) },
		func() error { return write(filepath.Join(limited, weights), weight) },
		func() error { return os.Mkdir(own, 0o755) },
		func() error { return write(filepath.Join(own, "cgroup.procs"), strconv.Itoa(pid)) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// cgroupRoot returns where the control groups are that have quotas of CPUs, of version 2 or 1.
func cgroupRoot(t testing.TB) (directory string, unified bool) {
	t.Helper()
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/cgroup.controllers"); err != nil {
		return root + "/cpu", false
	}
	if err := write(root+"/cgroup.subtree_control", "+cpu"); err != nil {
		t.Fatal(err)
	}
	return root, true
}

func write(file, content string) error { return os.WriteFile(file, []byte(content), 0o644) }
