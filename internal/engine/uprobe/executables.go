//go:build linux

package uprobe

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// maxExecutables is how many can have probes at once. Cookies of probes have 15 bits for an executable's index.
const maxExecutables = 1024

// none is the index of no executable.
const none = 0

// addExecutable makes an executable known whose goroutines that begin in some functions are the runtime's own, and returns its index.
func (t *Engine) addExecutable(systemStarts []uint64) (index uint32, err error) {
	if index, err = t.executables.take(); err != nil {
		return 0, err
	}
	// What is kept by index may be of one before: the probes of that are gone, nobody else writes there.
	if err = t.clearExecutable(index); err == nil {
		err = t.registerStarts(index, systemStarts)
	}
	if err != nil {
		t.executables.putBack(index)
		return 0, fmt.Errorf("register the executable: %w", explain(err))
	}
	return index, nil
}

func (t *Engine) clearExecutable(index uint32) error {
	nothing := make([]uint64, t.cpus)
	t.late[index].Store(0)
	return errors.Join(t.objects.HitsOfOthers.Put(index, nothing), t.objects.LastStart.Put(uint32(0), nothing))
}

func (t *Engine) registerStarts(index uint32, starts []uint64) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "starts", Type: ebpf.Hash, KeySize: 8, ValueSize: 1, MaxEntries: uint32(max(len(starts), 1))})
	if err != nil {
		return err
	}
	defer m.Close() // the map of maps keeps it
	if len(starts) > 0 {
		if _, err := m.BatchUpdate(starts, make([]uint8, len(starts)), nil); err != nil {
			return err
		}
	}
	return t.objects.SystemStarts.Put(index, m)
}

// removeExecutable forgets an executable that has no probes any more.
func (t *Engine) removeExecutable(index uint32) error {
	if err := t.objects.SystemStarts.Delete(index); err != nil {
		return fmt.Errorf("forget the executable: %w", err)
	}
	t.executables.putBack(index)
	return nil
}

// hitsOfOthers returns how often an executable's probes were hit by processes that were not followed.
func (t *Engine) hitsOfOthers(index uint32) (sum uint64, err error) {
	var perCPU []uint64
	if err := t.objects.HitsOfOthers.Lookup(index, &perCPU); err != nil {
		return 0, fmt.Errorf("read the hits of processes that are not followed: %w", err)
	}
	for _, n := range perCPU {
		sum += n
	}
	return sum + t.late[index].Load(), nil
}

// waitForPrograms returns when the programs that run now have ended. The kernel waits for that whenever a map of maps changes
// (maybe_wait_bpf_programs in kernel/bpf/syscall.c).
func (t *Engine) waitForPrograms() error {
	if err := t.registerStarts(none, nil); err != nil {
		return fmt.Errorf("wait for programs: %w", err)
	}
	return nil
}
