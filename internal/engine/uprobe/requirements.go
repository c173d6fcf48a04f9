//go:build linux

package uprobe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/capability"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// needed are the capabilities without which no probe is possible (capabilities(7)). The kernel lets only CAP_SYS_ADMIN open the perf
// event of a uprobe (perf_uprobe_event_init in kernel/events/core.c), and that stands for CAP_BPF and CAP_PERFMON
// (include/linux/capability.h: bpf_capable, perfmon_capable). From Linux 6.18 on, only what measures the costs of probes opens such events.
var needed = []int{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE}

// checkCapabilities returns an error that names the capabilities that this process lacks.
func checkCapabilities() error {
	if lacking := capability.Missing(needed...); len(lacking) > 0 {
		return fmt.Errorf("%w: the collector needs %s; run it as root, or grant them with setcap or securityContext.capabilities",
			engine.ErrPermission, strings.Join(lacking, ", "))
	}
	return nil
}

// checkKernel returns an error if the kernel lacks what the programs use: bpf_get_attach_cookie, since Linux 5.15, is the newest.
func checkKernel() error {
	if err := features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie); errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%w: %s has no BPF attach cookies; Linux 5.15 or later is needed", engine.ErrKernel, kernelRelease())
	}
	return checkUprobes("/sys") // what else is wrong shows when the programs are loaded
}

// checkUprobes returns an error if the kernel has no perf events of uprobes, as the file system that is mounted at sys tells.
func checkUprobes(sys string) error {
	events := filepath.Join(sys, "bus", "event_source", "devices")
	if _, err := os.Stat(events); err != nil {
		return fmt.Errorf("%w: whether %s has uprobes cannot be seen: mount sysfs at %s: %w", engine.ErrKernel, kernelRelease(), sys, err)
	}
	if _, err := os.Stat(filepath.Join(events, "uprobe", "type")); err != nil {
		return fmt.Errorf("%w: %s has no uprobes, it needs CONFIG_UPROBE_EVENTS=y: %w", engine.ErrKernel, kernelRelease(), err)
	}
	return nil
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "this kernel"
	}
	return "Linux " + unix.ByteSliceToString(name.Release[:])
}
