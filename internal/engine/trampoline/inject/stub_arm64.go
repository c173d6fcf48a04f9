//go:build linux

package inject

import "encoding/binary"

// stubCode carries out one system call, whose registers are set before. Then it restores the thread as it was, as a thread returns from the
// handler of a signal, from the frame behind it: nothing but the kernel can set all registers at once. This runs only if nobody is there any
// more to restore the thread. All signals are masked before the stack pointer leaves the stack.
var stubCode = instructions(
	systemCallInstruction,
	0xd2800040, // mov x0, #SIG_SETMASK
	0x10000141, // adr x1, offMask
	0xd2800002, // mov x2, #0
	0xd2800103, // mov x3, #8
	0xd28010e8, // mov x8, #SYS_rt_sigprocmask
	systemCallInstruction,
	0x10ffff29, // adr x9, the stub
	0x9100013f, // mov sp, x9
	0xd2801168, // mov x8, #SYS_rt_sigreturn
	systemCallInstruction,
	0xd4200000, // brk #0
)

const systemCallInstruction = 0xd4000001 // svc #0

// Where the words of a stub are: those that its code and calls need, in the part of a signal's frame that the kernel does not read when a
// handler returns, and the others as the kernel expects them (struct rt_sigframe in arch/arm64/kernel/signal.c, struct ucontext and sigcontext
// in arch/arm64/include/uapi/asm).
const (
	// offMask is the mask of all signals.
	offMask = 48
	// offString is where the string begins.
	offString    = offMask + 8
	offStack     = 128 + 16 // uc_stack: pointer, flags, size
	offSignals   = offStack + 24
	offRegisters = 128 + 176 + 8 // X0 to X30, SP, PC, PSTATE
	offVectors   = 128 + 176 + 288
	vectorsSize  = 8 + 8 + 32*16
	// stubSize is what a stub takes, with the word of zeros behind the last record.
	stubSize = (offVectors + vectorsSize + 8 + 15) &^ 15
)

const (
	// vectorsMagic marks the registers of floating point (FPSIMD_MAGIC).
	vectorsMagic = 0x46508001
	// noStack are flags that no signal stack has: the kernel leaves that of the thread as it is (restore_altstack in kernel/signal.c).
	noStack = 0x7fffffff
)

// stub returns one that restores a thread, with a string that calls can name. A system call that the stop has interrupted begins again as the
// kernel has set the registers: only one that was to sleep for some time, and has slept for a part, sleeps for all of it again.
func stub(r *registers, mask uint64, text string) []byte {
	b := make([]byte, stubSize)
	copy(b, stubCode)
	le := binary.LittleEndian
	le.PutUint64(b[offMask:], ^uint64(0))
	copy(b[offString:offStack], text)
	le.PutUint32(b[offStack+8:], noStack)
	le.PutUint64(b[offSignals:], mask)
	for i, word := range append(r.Regs[:], r.Sp, r.Pc, r.Pstate) {
		le.PutUint64(b[offRegisters+8*i:], word)
	}
	le.PutUint32(b[offVectors:], vectorsMagic)
	le.PutUint32(b[offVectors+4:], vectorsSize)
	le.PutUint32(b[offVectors+8:], r.vector.fpsr)
	le.PutUint32(b[offVectors+12:], r.vector.fpcr)
	for i, v := range r.vector.v {
		copy(b[offVectors+16+16*i:], v[:])
	}
	return b
}

func instructions(words ...uint32) (code []byte) {
	for _, w := range words {
		code = binary.LittleEndian.AppendUint32(code, w)
	}
	return code
}

var syscallCode = stubCode[:4]
