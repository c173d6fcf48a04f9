//go:build linux

package inject

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// registers are those of a thread, with those of floating point, which only a stub needs.
type registers struct {
	unix.PtraceRegs
	vector vectors
}

// vectors are struct user_fpsimd_state of include/uapi/linux/ptrace.h (arch/arm64/include/uapi/asm/ptrace.h).
type vectors struct {
	v          [32][16]byte
	fpsr, fpcr uint32
	_          [2]uint32
}

// Sets of registers (include/uapi/linux/elf.h). The last is the number of the system call that a thread is in.
const (
	setGeneral    = 1
	setVector     = 2
	setSystemCall = 0x404
)

// noSystemCall is that number of a thread which is in none (arch/arm64/include/asm/ptrace.h).
const noSystemCall = -1

// systemCallNumber is the register that names a system call; its arguments are in X0 to X5, its result in X0.
const systemCallNumber = 8

func (r *registers) pc() uint64    { return r.Pc }
func (r *registers) stack() uint64 { return r.Sp }

// result is what a system call returned.
func (r *registers) result() uint64 { return r.Regs[0] }

// calling returns the registers that make a system call by the instruction at an address. X7 stays as it is: at the begin and end of a system
// call the kernel shows another there than the thread has, and ignores what is written (report_syscall in arch/arm64/kernel/ptrace.c).
func (r registers) calling(at, number uint64, arguments []uint64) registers {
	r.Pc, r.Regs[systemCallNumber] = at, number
	clear(r.Regs[:6])
	copy(r.Regs[:6], arguments)
	return r
}

// readRegisters returns those of a stopped thread.
func readRegisters(thread int) (r registers, err error) {
	if err := regset(unix.PTRACE_GETREGSET, thread, setGeneral, unsafe.Pointer(&r.PtraceRegs), unsafe.Sizeof(r.PtraceRegs)); err != nil {
		return r, err
	}
	return r, regset(unix.PTRACE_GETREGSET, thread, setVector, unsafe.Pointer(&r.vector), unsafe.Sizeof(r.vector))
}

// writeRegisters changes those of a stopped thread, but for those of floating point, and has the kernel forget the system call at whose begin
// or end it is stopped, if any: it would else be carried out, or be taken for one that was interrupted.
func writeRegisters(thread int, r *registers) error {
	if err := regset(unix.PTRACE_SETREGSET, thread, setGeneral, unsafe.Pointer(&r.PtraceRegs), unsafe.Sizeof(r.PtraceRegs)); err != nil {
		return err
	}
	none := int32(noSystemCall)
	return regset(unix.PTRACE_SETREGSET, thread, setSystemCall, unsafe.Pointer(&none), unsafe.Sizeof(none))
}

// regset reads or writes a set of registers.
func regset(request, thread int, set uintptr, to unsafe.Pointer, size uintptr) error {
	all := unix.Iovec{Base: (*byte)(to), Len: uint64(size)}
	return look(request, thread, set, uintptr(unsafe.Pointer(&all)))
}
