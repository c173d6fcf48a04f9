//go:build linux

package inject

import "golang.org/x/sys/unix"

// registers are those of a thread.
type registers struct{ unix.PtraceRegs }

func (r *registers) pc() uint64    { return r.Rip }
func (r *registers) stack() uint64 { return r.Rsp }

// result is what a system call returned.
func (r *registers) result() uint64 { return r.Rax }

// calling returns the registers that make a system call by the instruction at an address. No other call is taken to be interrupted then.
func (r registers) calling(at, number uint64, arguments []uint64) registers {
	r.Rip, r.Rax, r.Orig_rax = at, number, ^uint64(0)
	for i, to := range []*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9} {
		*to = 0
		if i < len(arguments) {
			*to = arguments[i]
		}
	}
	return r
}

// readRegisters returns those of a stopped thread.
func readRegisters(thread int) (r registers, err error) {
	return r, unix.PtraceGetRegs(thread, &r.PtraceRegs)
}

// writeRegisters changes those of a stopped thread.
func writeRegisters(thread int, r *registers) error { return unix.PtraceSetRegs(thread, &r.PtraceRegs) }
