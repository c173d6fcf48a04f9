//go:build linux

package inject

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/arm64/arm64asm"
)

// TestStubCode disassembles the stub, and reads the frame as the kernel does.
func TestStubCode(t *testing.T) {
	var r registers
	for i := range r.Regs {
		r.Regs[i] = uint64(100 + i)
	}
	r.Sp, r.Pc, r.Pstate = 0x7f0000001000, 0x401234, 0x60000000
	r.vector.fpsr, r.vector.fpcr = 0x10, 0x3000000
	r.vector.v[31][15] = 0xab
	b := stub(&r, 0xabcd, MemoryName)
	require.Len(t, b, stubSize)
	require.Zero(t, stubSize%16)
	require.Equal(t, MemoryName+"\x00", string(b[offString:][:len(MemoryName)+1]))

	var code []string
	for at := 0; at < len(stubCode); at += 4 {
		in, err := arm64asm.Decode(b[at:])
		require.NoError(t, err)
		code = append(code, arm64asm.GNUSyntax(in))
	}
	require.Equal(t, []string{
		"svc #0x0", "mov x0, #0x2", "adr x1, .+0x28", "mov x2, #0x0", "mov x3, #0x8", "mov x8, #0x87", "svc #0x0",
		"adr x9, .+0xffffffffffffffe4", "mov sp, x9", "mov x8, #0x8b", "svc #0x0", "brk #0x0",
	}, code)
	require.Equal(t, 2*4+0x28, offMask)
	require.LessOrEqual(t, len(stubCode), offMask)
	le := binary.LittleEndian
	require.Equal(t, ^uint64(0), le.Uint64(b[offMask:]))
	require.EqualValues(t, 0xabcd, le.Uint64(b[168:]), "the mask")
	for i, want := range append(r.Regs[:], r.Sp, r.Pc, r.Pstate) {
		require.Equal(t, want, le.Uint64(b[312+8*i:]), i)
	}
	require.EqualValues(t, vectorsMagic, le.Uint32(b[592:]))
	require.EqualValues(t, 528, le.Uint32(b[596:]))
	require.EqualValues(t, 0x10, le.Uint32(b[600:]))
	require.EqualValues(t, 0x3000000, le.Uint32(b[604:]))
	require.EqualValues(t, 0xab, b[592+528-1])
	require.Zero(t, le.Uint64(b[592+528:]), "the end of records")
}
