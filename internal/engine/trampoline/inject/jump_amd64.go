//go:build linux

package inject

import "encoding/binary"

const (
	jumpSize   = 5
	jumpOpcode = 0xe9
	breakpoint = 0xcc
	// longestInstruction is the most bytes that one has.
	longestInstruction = 15
)

// jumpsTo returns where code at an address jumps to, if it is a jump with nothing but breakpoints behind it.
func jumpsTo(address uint64, code []byte) (to uint64, ok bool) {
	if len(code) < jumpSize || code[0] != jumpOpcode {
		return 0, false
	}
	for _, b := range code[jumpSize:] {
		if b != breakpoint {
			return 0, false
		}
	}
	return address + jumpSize + uint64(int64(int32(binary.LittleEndian.Uint32(code[1:])))), true
}

// hidden returns how many bytes, the first ones, of an instruction a breakpoint takes the place of.
func hidden(there []byte) int {
	if len(there) > 0 && there[0] == breakpoint {
		return 1
	}
	return 0
}
