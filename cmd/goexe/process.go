package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// Process is what is found in a running process of a file.
type Process struct {
	PID int `json:"pid"`
	// Reason is why it does not permit trampolines, in the word that the receiver's telemetry has for it, and Refusal says more; both are
	// empty if it permits them.
	Reason  string `json:"reason,omitempty"`
	Refusal string `json:"refusal,omitempty"`
	// Memory is what the process has where trampolines take the place of instructions.
	Memory []Bytes `json:"memory,omitempty"`
}

// Bytes are some of a process's code.
type Bytes struct {
	Function string `json:"function"`
	// Address is in the process.
	Address uint64 `json:"address"`
	// File is what the file has there, Memory what the process has; both are hexadecimal.
	File   string `json:"file"`
	Memory string `json:"memory"`
}

// setRefusal says why a process refuses, if err is not nil.
func (p *Process) setRefusal(err error) {
	if err == nil {
		return
	}
	p.Refusal = err.Error()
	var refused *engine.Refusal
	if errors.As(err, &refused) {
		p.Reason, p.Refusal = string(refused.Reason), refused.Err.Error()
	}
}

// readCode reads what the process has in the place of instructions. It returns nothing if its memory cannot be read.
func readCode(memory io.ReaderAt, bias uint64, patches []goexe.Patch) (all []Bytes) {
	for _, p := range patches {
		there := make([]byte, len(p.Code))
		if _, err := memory.ReadAt(there, int64(p.Address+bias)); err != nil {
			return nil
		}
		all = append(all, Bytes{p.Function, p.Address + bias, fmt.Sprintf("%x", p.Code), fmt.Sprintf("%x", there)})
	}
	return all
}

func (p Process) write(w io.Writer) {
	switch {
	case p.Refusal == "":
		fmt.Fprintf(w, "  process %d\tpermits trampolines\n", p.PID)
	case p.Reason == "":
		fmt.Fprintf(w, "  process %d\tit is not known whether it permits trampolines: %s\n", p.PID, p.Refusal)
	default:
		fmt.Fprintf(w, "  process %d\tpermits no trampolines\t%s\t%s\n", p.PID, p.Reason, p.Refusal)
	}
	for _, b := range p.Memory {
		if b.Memory == b.File {
			fmt.Fprintf(w, "  in memory\t%s\tat %#x\t%s, as in the file\n", b.Function, b.Address, b.File)
		} else {
			fmt.Fprintf(w, "  in memory\t%s\tat %#x\t%s, in the place of %s\n", b.Function, b.Address, b.Memory, b.File)
		}
	}
}
