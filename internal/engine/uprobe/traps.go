//go:build linux

package uprobe

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// Traps is what the kernel takes for a hit of a probe whose program does nothing, for each kind of probed instruction.
type Traps map[goexe.Cost]time.Duration

func nop5()
func emulated()
func emulatedPush()
func singleStepped()
func addresses() (nop5, emulated, emulatedPush, singleStepped uintptr)

// Of many short measurements, some are disturbed by nothing, also beside other load.
const (
	measurements = 100
	hits         = 50 // in each
)

// MeasureTraps puts probes on functions of this process that do nothing, and calls them. It needs the privileges that probes need.
func MeasureTraps() (Traps, error) {
	nothing, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "nothing", Type: ebpf.Kprobe, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load a program that does nothing: %w", err)
	}
	defer nothing.Close()
	traps := Traps{}
	atNop5, atEmulated, atPush, atSingleStepped := addresses()
	for _, stub := range []struct {
		cost    goexe.Cost
		address uintptr
		call    func()
	}{
		{goexe.Nop5, atNop5, nop5},
		{goexe.Emulated, atEmulated, emulated},
		{goexe.EmulatedPush, atPush, emulatedPush},
		{goexe.SingleStepped, atSingleStepped, singleStepped},
	} {
		if traps[stub.cost], err = measure(nothing, stub.address, stub.call); err != nil {
			return nil, fmt.Errorf("measure a probe of the kind %s: %w", stub.cost, err)
		}
	}
	return traps, nil
}

func measure(program *ebpf.Program, address uintptr, call func()) (time.Duration, error) {
	offset, err := fileOffset(address)
	if err != nil {
		return 0, err
	}
	self, err := link.OpenExecutable("/proc/self/exe")
	if err != nil {
		return 0, err
	}
	without := timeOf(call)
	probe, err := self.Uprobe("", program, &link.UprobeOptions{Address: offset, PID: os.Getpid()})
	if err != nil {
		return 0, err
	}
	with := timeOf(call)
	return max(with-without, 0), probe.Close()
}

// timeOf returns the time of one call, undisturbed by what else the machine does.
func timeOf(call func()) time.Duration {
	var all []time.Duration
	for range measurements {
		begin := time.Now()
		for range hits {
			call()
		}
		all = append(all, time.Since(begin)/hits)
	}
	return slices.Min(all)
}

// fileOffset returns where in this process's executable file the instruction at an address is.
func fileOffset(address uintptr) (uint64, error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var begin, end uintptr
		var mode string
		var offset uint64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s %x", &begin, &end, &mode, &offset); err != nil {
			return 0, fmt.Errorf("/proc/self/maps: %q: %w", lines.Text(), err)
		}
		if begin <= address && address < end {
			return offset + uint64(address-begin), nil
		}
	}
	return 0, errors.Join(errors.New("the address is in no mapping"), lines.Err())
}
