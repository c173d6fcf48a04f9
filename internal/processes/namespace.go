//go:build linux

package processes

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNamespace is wrapped by errors about the PID namespace of this process, in which other ids are used than wherever else processes are
// told of.
var ErrNamespace = errors.New("wrong PID namespace")

// initialNamespace is the inode of the namespace that the kernel begins with, the host's (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const initialNamespace = 0xEFFFFFFC

// CheckHost returns an error if this process does not know processes by the ids that the kernel itself uses, and by which probes tell of
// them.
func CheckHost() error {
	var namespace unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &namespace); err != nil && !errors.Is(err, unix.ENOENT) { // without namespaces all have the same ids
		return fmt.Errorf("look at the PID namespace: %w", err)
	} else if err == nil && namespace.Ino != initialNamespace {
		return fmt.Errorf("%w: probes tell of processes by their ids on the host, which are not known in a PID namespace of a container: "+
			"run the collector with hostPID: true (Kubernetes), --pid=host (Docker, Podman) or on the host itself, or use mode: snapshot", ErrNamespace)
	}
	return CheckProc()
}

// CheckProc returns an error if /proc shows the processes of another PID namespace than this process's.
func CheckProc() error {
	status, err := os.ReadFile("/proc/self/status")
	if err == nil && len(idsIn(string(status))) < 2 {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look at /proc: %w", err)
	}
	return fmt.Errorf("%w: /proc is that of another one, with other ids of processes: run the collector with hostPID: true (Kubernetes), "+
		"--pid=host (Docker, Podman) or on the host itself, or with a /proc of its own", ErrNamespace)
}

// idsIn returns the ids that a process has in the PID namespace of /proc and in each below, up to its own; none where there are no
// namespaces.
func idsIn(status string) []string { return strings.Fields(fieldOf(status, "NSpid")) }
