package main

import (
	"fmt"
	"os"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// inspectProcess tells whether a process, which runs a file, permits trampolines. It touches nothing.
func inspectProcess(pid int, b *goexe.Binary) (*Process, error) {
	running, err := processes.Read(pid)
	if err != nil {
		return nil, err
	}
	bias, err := running.Bias(b.Base)
	if err != nil {
		return nil, err
	}
	p := &Process{PID: pid}
	p.setRefusal(trampoline.Check(pid, b, bias))
	patches, err := b.Patches()
	if err != nil {
		return p, nil // the refusal says so
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return p, nil // the refusal says so
	}
	defer memory.Close()
	p.Memory = readCode(memory, bias, patches)
	return p, nil
}
