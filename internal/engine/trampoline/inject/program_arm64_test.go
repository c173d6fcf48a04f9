//go:build linux

package inject

import (
	"encoding/binary"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/code"
)

// assemble writes real trampolines.
var assemble = code.AssembleARM64

// counting returns trampolines that add to a counter, do what was replaced, and go back. All registers are kept; at the sites, neither flags
// nor what is below the stack pointer are in use.
func counting(sites []Site, text, counter uint64) (code []byte, jumps []Jump) {
	for _, s := range sites {
		jumps = append(jumps, Jump{s.Address, jumpFrom(s.Address, text+uint64(len(code))), s.Code})
		code = append(code, instructions(0xa9bf47f0)...) // stp x16, x17, [sp, #-16]!
		for part := range uint64(4) {                    // movk x16, #part, lsl #16*part
			code = append(code, instructions(uint32(0xf2800010|part<<21|counter>>(16*part)&0xffff<<5))...)
		}
		code = append(code, instructions(0xd2800031, 0xf831021f, 0xa8c147f0)...) // mov x17, #1; ldadd x17, xzr, [x16]; ldp x16, x17, [sp], #16
		code = append(code, s.Code...)
		code = append(code, jumpFrom(text+uint64(len(code)), s.Address+uint64(len(s.Code)))...)
	}
	return code, jumps
}

func jumpFrom(from, to uint64) []byte {
	return binary.LittleEndian.AppendUint32(nil, jumpOpcode|uint32(to-from)/jumpSize&(1<<distanceBits-1))
}
