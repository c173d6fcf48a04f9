//go:build linux

package ring

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// auxiliaryCPU are the bits of the auxiliary word that hold the CPU's number (arch/x86/include/asm/segment.h of Linux).
const auxiliaryCPU = 0xfff

// clockFlags are what /proc/cpuinfo calls a time-stamp counter that has one rate always and goes on in deep sleep, and RDTSCP.
var clockFlags = []string{"constant_tsc", "nonstop_tsc", "rdtscp"}

// Usable returns nil if trampolines can take the time, and what tells their ring, from the processor of this machine. On arm64, where they are
// not proven, that takes leave. An error wraps an engine.Refusal.
func Usable(arm64 bool) error {
	m := machine{os.DirFS("/proc"), os.DirFS("/sys"), auxiliaryOn, cpu.ARM64.HasATOMICS, os.Getpagesize()}
	return m.usable(runtime.GOARCH, arm64)
}

// machine is what Usable looks at.
type machine struct {
	proc, sys fs.FS
	// auxiliary reads the auxiliary word on a CPU; false if this process may not run there.
	auxiliary func(cpu int) (uint32, bool)
	// atomics tells that an arm64 processor has the atomic instructions of Armv8.1.
	atomics  bool
	pageSize int
}

func (m machine) usable(arch string, arm64 bool) error {
	switch arch {
	case "amd64":
		return m.usableAMD64()
	case "arm64":
		if !arm64 {
			return engine.Refuse(engine.RefusedArch, "trampolines were tried on arm64 in emulation only: trampoline::arm64: experimental permits them")
		}
		return m.usableARM64()
	}
	return engine.Refuse(engine.RefusedArch, "there are no trampolines for %s", arch)
}

// usableARM64 does not look for more: architecture and kernel have the counter of the same rate on all CPUs, also where they sleep.
func (m machine) usableARM64() error {
	if !m.atomics {
		return engine.Refuse(engine.RefusedArch, "the processor lacks the atomic instructions of Armv8.1")
	}
	if m.pageSize != pageSize {
		return engine.Refuse(engine.RefusedArch, "the kernel has pages of %d bytes, not of %d", m.pageSize, pageSize)
	}
	if err := m.clockIs("arch_sys_counter"); err != nil {
		return engine.Refuse(engine.RefusedTSC, "%w", err)
	}
	return nil
}

func (m machine) usableAMD64() error {
	if err := m.invariant(); err != nil {
		return engine.Refuse(engine.RefusedTSC, "%w", err)
	}
	if err := m.tellsCPU(); err != nil {
		return engine.Refuse(engine.RefusedTSCAux, "%w", err)
	}
	return nil
}

// invariant tells whether the counter is a clock: as the processor says, and as the kernel uses it.
func (m machine) invariant() error {
	info, err := fs.ReadFile(m.proc, "cpuinfo")
	if err != nil {
		return err
	}
	found := false
	for line := range bytes.Lines(info) {
		name, flags, _ := strings.Cut(string(line), ":")
		if strings.TrimSpace(name) != "flags" {
			continue
		}
		found = true
		for _, f := range clockFlags {
			if !slices.Contains(strings.Fields(flags), f) {
				return fmt.Errorf("a processor lacks %s", f)
			}
		}
	}
	if !found {
		return fmt.Errorf("cpuinfo has no flags")
	}
	return m.clockIs("tsc")
}

// clockIs tells whether the kernel takes its time from a counter.
func (m machine) clockIs(counter string) error {
	source, err := fs.ReadFile(m.sys, "devices/system/clocksource/clocksource0/current_clocksource")
	if err != nil {
		return err
	}
	if s := strings.TrimSpace(string(source)); s != counter {
		return fmt.Errorf("the kernel's clock is %s, not %s", s, counter)
	}
	return nil
}

// tellsCPU tells whether the auxiliary word has the CPU's number on all CPUs that can be looked at.
func (m machine) tellsCPU() error {
	cpus, err := readCPUs(m.sys, "online")
	if err != nil {
		return err
	}
	looked := 0
	for _, cpu := range cpus {
		aux, ok := m.auxiliary(cpu)
		if !ok {
			continue
		}
		looked++
		if aux&auxiliaryCPU != uint32(cpu) {
			return fmt.Errorf("CPU %d tells %#x", cpu, aux)
		}
	}
	if looked == 0 {
		return fmt.Errorf("none of the CPUs %v can be looked at", cpus)
	}
	return nil
}

// auxiliaryOn reads the auxiliary word on a CPU, on a thread that ends after as it is not unlocked.
func auxiliaryOn(cpu int) (aux uint32, ok bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		var set unix.CPUSet
		set.Set(cpu)
		if unix.SchedSetaffinity(0, &set) == nil {
			aux, ok = auxiliary(), true
		}
	}()
	<-done
	return aux, ok
}
