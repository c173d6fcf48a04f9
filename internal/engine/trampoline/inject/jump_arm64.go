//go:build linux

package inject

import "encoding/binary"

const (
	jumpSize           = 4
	longestInstruction = 4
)

// Encodings of `b` with its distance in instructions, and of `brk` with its number (Arm's reference manual, chapter C6).
const (
	jumpOpcode     = 0x14000000
	distanceBits   = 26
	breakpoint     = 0xd4200000
	breakpointMask = 0xffe0001f
)

// jumpsTo returns where code at an address jumps to, if it is a jump.
func jumpsTo(address uint64, code []byte) (to uint64, ok bool) {
	if len(code) != jumpSize {
		return 0, false
	}
	word := binary.LittleEndian.Uint32(code)
	if word>>distanceBits != jumpOpcode>>distanceBits {
		return 0, false
	}
	distance := int64(int32(word<<(32-distanceBits))>>(32-distanceBits)) * jumpSize
	return address + uint64(distance), true
}

// hidden returns how many bytes of an instruction a breakpoint takes the place of: all or none.
func hidden(there []byte) int {
	if len(there) == jumpSize && binary.LittleEndian.Uint32(there)&breakpointMask == breakpoint {
		return jumpSize
	}
	return 0
}
