//go:build linux

package inject

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"
	"golang.org/x/sys/unix"
)

// TestStubCode disassembles the stub: it restores each register from its word.
func TestStubCode(t *testing.T) {
	r := registers{unix.PtraceRegs{
		Rcx: 1, Rdx: 2, Rsi: 3, Rdi: 4, R8: 5, R9: 6, R10: 7, R11: 8, Rax: ^uint64(0) - 511, Orig_rax: unix.SYS_READ, Rip: 0x1002, Eflags: 0x8d5,
	}}
	b := stub(&r, 0xabcd, "text")
	require.Len(t, b, stubSize)
	require.True(t, bytes.HasPrefix(b[offString:], []byte("text\x00")))
	want := map[string]uint64{
		"RSI": 3, "RCX": 1, "RDX": 2, "RDI": 4, "R8": 5, "R9": 6, "R10": 7, "R11": 8, "RAX": unix.SYS_READ, "jump": 0x1000, "mask": 0xabcd, "flags": 0xd501,
	}
	got := map[string]uint64{}
	word := func(at int, m x86asm.Mem) uint64 {
		require.Equal(t, x86asm.RIP, m.Base)
		return binary.LittleEndian.Uint64(b[at+int(m.Disp):])
	}
	for at := 0; at < len(stubCode) && b[at] != breakpoint; {
		in, err := x86asm.Decode(b[at:], 64)
		require.NoError(t, err)
		at += in.Len
		m, isMemory := in.Args[1].(x86asm.Mem)
		to, _ := in.Args[0].(x86asm.Reg)
		switch {
		case in.Op == x86asm.JMP:
			got["jump"] = word(at, in.Args[0].(x86asm.Mem))
		case in.Op == x86asm.LEA:
			require.Equal(t, x86asm.RSI, to)
			got["mask"] = word(at, m)
		case in.Op == x86asm.MOV && isMemory && to == x86asm.RAX && got["flags"] == 0:
			got["flags"] = word(at, m)
		case in.Op == x86asm.MOV && isMemory:
			got[to.String()] = word(at, m)
		}
	}
	require.Equal(t, want, got)
}

// TestRestarted tells where interrupted system calls go on.
func TestRestarted(t *testing.T) {
	const after = 0x1002
	for name, c := range map[string]struct {
		number, result int64
		pc, ax         uint64
	}{
		"not in one":        {-1, eRestartSys, after, ^uint64(511)},
		"ended":             {unix.SYS_READ, 5, after, 5},
		"failed":            {unix.SYS_READ, -4, after, ^uint64(3)},
		"restart":           {unix.SYS_READ, eRestartSys, after - 2, unix.SYS_READ},
		"restart always":    {unix.SYS_READ, eRestartNoIntr, after - 2, unix.SYS_READ},
		"restart unhandled": {unix.SYS_PAUSE, eRestartNoHand, after - 2, unix.SYS_PAUSE},
		"go on":             {unix.SYS_NANOSLEEP, eRestartRestartBlock, after - 2, unix.SYS_RESTART_SYSCALL},
	} {
		pc, ax := restarted(&registers{unix.PtraceRegs{Orig_rax: uint64(c.number), Rax: uint64(c.result), Rip: after}})
		require.Equal(t, c.pc, pc, name)
		require.Equal(t, c.ax, ax, name)
	}
}
