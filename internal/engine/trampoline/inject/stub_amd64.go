//go:build linux

package inject

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// stubCode carries out one system call, whose registers are set before. Then it restores the thread as it was, from the words behind it,
// without touching its stack: this runs only if nobody is there any more to restore it. The call changes RAX, RCX and R11; the others that
// are restored are those of arguments.
var stubCode = []byte{
	0x0f, 0x05, // syscall
	0xb8, 14, 0, 0, 0, // mov eax, SYS_rt_sigprocmask
	0xbf, 2, 0, 0, 0, // mov edi, SIG_SETMASK
	0x48, 0x8d, 0x35, 0x5d, 0, 0, 0, // lea rsi, [mask]
	0x31, 0xd2, // xor edx, edx
	0x41, 0xba, 8, 0, 0, 0, // mov r10d, 8
	0x0f, 0x05, // syscall
	0x48, 0x8b, 0x05, 0x54, 0, 0, 0, // mov rax, [flags]
	0x04, 0x7f, // add al, 127: overflows if al is 1
	0x9e,                            // sahf: all other flags that instructions leave behind
	0x48, 0x8b, 0x0d, 0x52, 0, 0, 0, // mov rcx, [...]
	0x48, 0x8b, 0x15, 0x53, 0, 0, 0, // mov rdx
	0x48, 0x8b, 0x35, 0x54, 0, 0, 0, // mov rsi
	0x48, 0x8b, 0x3d, 0x55, 0, 0, 0, // mov rdi
	0x4c, 0x8b, 0x05, 0x56, 0, 0, 0, // mov r8
	0x4c, 0x8b, 0x0d, 0x57, 0, 0, 0, // mov r9
	0x4c, 0x8b, 0x15, 0x58, 0, 0, 0, // mov r10
	0x4c, 0x8b, 0x1d, 0x59, 0, 0, 0, // mov r11
	0x48, 0x8b, 0x05, 0x5a, 0, 0, 0, // mov rax
	0xff, 0x25, 0x5c, 0, 0, 0, // jmp [pc]
	0xcc, 0xcc, 0xcc, 0xcc,
}

const (
	// stubSize is what a stub takes: code, 12 words, and a string for the call.
	stubSize = 256
	// offString is where the string begins.
	offString = 112 + 12*8
	// overflow is the bit of the flags that SAHF does not set.
	overflow = 11
)

// stub returns one that restores a thread, with a string that calls can name.
func stub(r *registers, mask uint64, text string) []byte {
	pc, ax := restarted(r)
	b := append(make([]byte, 0, stubSize), stubCode...)
	for _, word := range []uint64{mask, r.Eflags>>overflow&1 | r.Eflags&0xff<<8, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.R8, r.R9, r.R10, r.R11, ax, pc} {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return append(append(b, text...), make([]byte, stubSize-len(b)-len(text))...)
}

// The kernel's own error numbers of system calls that are to be begun again (include/linux/errno.h).
const (
	eRestartSys          = -512
	eRestartNoIntr       = -513
	eRestartNoHand       = -514
	eRestartRestartBlock = -516
)

// restarted returns where a thread goes on, and with what RAX, if the stop interrupted a system call: what the kernel does by itself when
// it lets go of a thread, but cannot do for the stub.
func restarted(r *registers) (pc, ax uint64) {
	if int64(r.Orig_rax) >= 0 {
		switch int64(r.Rax) {
		case eRestartSys, eRestartNoIntr, eRestartNoHand:
			return r.Rip - uint64(len(syscallCode)), r.Orig_rax
		case eRestartRestartBlock:
			return r.Rip - uint64(len(syscallCode)), unix.SYS_RESTART_SYSCALL
		}
	}
	return r.Rip, r.Rax
}

var syscallCode = stubCode[:2]
