//go:build linux

package inject

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/capability"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// Check tells whether Install would be permitted, without touching the process. Its error wraps an engine.Refusal if not, and unix.ESRCH if
// the process has ended. What only trying can show it does not find. It does not look at the machine's clock: see ring.Usable.
func Check(pid int, program Program) error {
	p, err := program.open(pid)
	if err != nil {
		return err
	}
	defer p.close()
	all, err := p.check()
	if err != nil {
		return err
	}
	left, err := p.leftover(all)
	if err != nil {
		return err
	}
	if left != nil {
		defer left.close()
		text, _ := left.textOf(all)
		return errors.Join(left.free(), p.checkSites(program.Sites, text))
	}
	if _, err := p.place(all, program.Sites); err != nil {
		return err
	}
	return p.checkSites(program.Sites, mapping{})
}

// open opens the process that the program is for.
func (program Program) open(pid int) (*process, error) {
	if len(program.Sites) == 0 {
		return nil, engine.Refuse(engine.RefusedCode, "there is nothing to replace")
	}
	if pid == os.Getpid() {
		return nil, engine.Refuse(engine.RefusedPermission, "a process cannot trace itself")
	}
	return open(pid, program.Sites[0].Address)
}

// check looks at what the kernel tells of a process.
func (p *process) check() (mappings, error) {
	switch tracer := p.status("TracerPid"); {
	case tracer == "":
		return nil, errGone
	case tracer != "0":
		return nil, engine.Refuse(engine.RefusedTraced, "it is traced by %s", tracer)
	}
	ids, err := p.ids()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(ids, p.filtered) {
		if err := maySuspendFilters(); err != nil {
			return nil, err
		}
	}
	if parent, err := strconv.Atoi(p.status("PPid")); err == nil && parent > 0 {
		if err := p.checkParent(parent); err != nil {
			return nil, err
		}
	}
	all, err := p.mappings()
	if err != nil {
		return nil, err
	}
	if _, _, err := all.image(p.code); err != nil {
		return nil, engine.Refuse(engine.RefusedMemoryProtection, "%w", err)
	}
	return all, nil
}

// maySuspendFilters tells whether the kernel lets this process suspend the filters of others' system calls (seccomp_may_assign_mode in
// kernel/seccomp.c, check_ptrace_options in kernel/ptrace.c): to inject a call that a filter forbids could end the process.
func maySuspendFilters() error {
	if lacking := capability.Missing(unix.CAP_SYS_ADMIN); len(lacking) > 0 {
		return engine.Refuse(engine.RefusedSeccomp, "its system calls are filtered, and this process lacks %v", lacking)
	}
	if own := processes.StatusField("/proc/self", "Seccomp"); own != "" && own != "0" {
		return engine.Refuse(engine.RefusedSeccomp, "the system calls of both processes are filtered")
	}
	return nil
}

// checkParent refuses a process that has the memory of its parent, as between vfork and exec.
func (p *process) checkParent(parent int) error {
	switch shared, err := sharesMemory(p.pid, parent); {
	case shared:
		return engine.Refuse(engine.RefusedVFork, "it shares its memory with its parent, process %d", parent)
	case err != nil && sameExecutable(p.pid, parent):
		return engine.Refuse(engine.RefusedVFork, "whether it shares its memory with its parent, process %d, cannot be seen: %w", parent, err)
	}
	return nil
}

// sharesMemory tells whether two processes have one memory; it is an error wherever the kernel does not tell.
func sharesMemory(a, b int) (bool, error) {
	const memory = 1 // KCMP_VM in include/uapi/linux/kcmp.h
	order, _, e := unix.RawSyscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), memory, 0, 0, 0)
	if e != 0 {
		if errors.Is(e, unix.ESRCH) {
			return false, nil
		}
		return false, e
	}
	return order == 0, nil
}

func sameExecutable(a, b int) bool {
	one, err := os.Stat("/proc/" + strconv.Itoa(a) + "/exe")
	other, err2 := os.Stat("/proc/" + strconv.Itoa(b) + "/exe")
	return err == nil && err2 == nil && os.SameFile(one, other)
}

// place returns where trampolines have room.
func (p *process) place(all mappings, sites []Site) (uint64, error) {
	_, begin, err := all.image(p.code)
	if err != nil {
		return 0, err
	}
	return all.room(within(begin, lowestAddress(), sites))
}

// checkSites tells whether all instructions are as they are in the executable, or jumps to trampolines if there are any.
func (p *process) checkSites(sites []Site, text mapping) error {
	for _, s := range sites {
		there, err := p.read(s.Address, len(s.Code))
		if err != nil {
			return err
		}
		if to, ok := jumpsTo(s.Address, there); ok && text.holds(to) {
			continue
		}
		if !bytes.Equal(there, s.Code) {
			return engine.Refuse(engine.RefusedForeignBytes, "at %#x there is % x instead of % x", s.Address, there, s.Code)
		}
	}
	return nil
}
