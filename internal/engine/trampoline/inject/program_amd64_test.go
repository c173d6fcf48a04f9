//go:build linux

package inject

import (
	"encoding/binary"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/code"
)

// assemble writes real trampolines.
var assemble = code.Assemble

// counting returns trampolines that add to a counter, do what was replaced, and go back. All registers are kept; at the sites, neither flags
// nor what is below the stack pointer are in use.
func counting(sites []Site, text, counter uint64) (code []byte, jumps []Jump) {
	for _, s := range sites {
		jump := jumpFrom(s.Address, text+uint64(len(code)))
		for len(jump) < len(s.Code) {
			jump = append(jump, breakpoint)
		}
		jumps = append(jumps, Jump{s.Address, jump, s.Code})
		code = append(code, 0x50)                                                               // push rax
		code = binary.LittleEndian.AppendUint64(append(code, 0x48, 0xb8), counter)              // mov rax, counter
		code = append(code, 0xf0, 0x48, 0xff, 0x00, 0x58)                                       // lock inc qword [rax]; pop rax
		code = append(code, s.Code...)                                                          //
		code = append(code, jumpFrom(text+uint64(len(code)), s.Address+uint64(len(s.Code)))...) // jmp back
	}
	return code, jumps
}

func jumpFrom(from, to uint64) []byte {
	return binary.LittleEndian.AppendUint32([]byte{jumpOpcode}, uint32(to-from-jumpSize))
}
