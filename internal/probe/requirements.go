package probe

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

var (
	// ErrPermission is wrapped by errors that say which capabilities the process lacks.
	ErrPermission = errors.New("missing privilege")
	// ErrKernel is wrapped by errors about what the running kernel does not have.
	ErrKernel = errors.New("unsupported kernel")
)

// needed are the capabilities without which no probe is possible (capabilities(7)). The kernel lets only CAP_SYS_ADMIN open the perf
// event of a uprobe (perf_uprobe_event_init in kernel/events/core.c), and that stands for the first two. Multi links could do without,
// but on some kernels they kill the target.
var needed = []struct {
	bit  int
	name string
}{
	{unix.CAP_BPF, "CAP_BPF"},
	{unix.CAP_PERFMON, "CAP_PERFMON"},
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
	{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
}

// checkCapabilities returns an error that names the capabilities that this process lacks.
func checkCapabilities() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	var effective uint64
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			if _, err := fmt.Sscanf(strings.TrimSpace(value), "%x", &effective); err != nil {
				return fmt.Errorf("/proc/self/status: CapEff: %w", err)
			}
		}
	}
	return missing(effective)
}

func missing(effective uint64) error {
	has := func(bit int) bool { return effective>>bit&1 == 1 }
	var lacking []string
	for _, c := range needed {
		if covered := has(unix.CAP_SYS_ADMIN) && c.bit != unix.CAP_SYS_PTRACE; !has(c.bit) && !covered {
			lacking = append(lacking, c.name)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the collector needs %s; run it as root, or grant them with setcap or securityContext.capabilities",
		ErrPermission, strings.Join(lacking, ", "))
}

// checkKernel returns an error if the kernel lacks what the programs use: bpf_get_attach_cookie, since Linux 5.15, is the newest.
func checkKernel() error {
	err := features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie)
	if !errors.Is(err, ebpf.ErrNotSupported) {
		return nil // what else is wrong shows when the programs are loaded
	}
	var name unix.Utsname
	release := "this kernel"
	if unix.Uname(&name) == nil {
		release = "Linux " + unix.ByteSliceToString(name.Release[:])
	}
	return fmt.Errorf("%w: %s has no BPF attach cookies; Linux 5.15 or later is needed", ErrKernel, release)
}
