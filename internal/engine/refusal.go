package engine

import "fmt"

// Reason says why a process or a machine does not permit an engine, in the words of a metric's attribute.
type Reason string

// The reasons that there are.
const (
	// RefusedArch is a processor architecture on which the engine is not proven.
	RefusedArch Reason = "arch"
	// RefusedCode is an executable of whose code not all can be done that must be.
	RefusedCode Reason = "code"
	// RefusedForeignBytes is code that somebody has changed already.
	RefusedForeignBytes Reason = "foreign_bytes"
	// RefusedMemoryProtection is a process that may not have new executable memory, or whose memory may not be written.
	RefusedMemoryProtection Reason = "memory_protection"
	// RefusedNoRoom is a process without free addresses near its code.
	RefusedNoRoom Reason = "no_room"
	// RefusedOther is a process that another collector has patched.
	RefusedOther Reason = "other_collector"
	// RefusedPermission is a missing privilege of this process.
	RefusedPermission Reason = "permission"
	// RefusedSeccomp is a process whose system calls are filtered.
	RefusedSeccomp Reason = "seccomp"
	// RefusedTraced is a process that has a tracer.
	RefusedTraced Reason = "traced"
	// RefusedTSC is a machine without a time-stamp counter that can be a clock, RefusedTSCAux one where it does not tell the CPU.
	RefusedTSC    Reason = "tsc"
	RefusedTSCAux Reason = "tsc_aux"
	// RefusedVFork is a process that shares its memory with another.
	RefusedVFork Reason = "vfork"
	// RefusedYama is a kernel that lets nobody trace, or not without a privilege that this process lacks (kernel.yama.ptrace_scope).
	RefusedYama Reason = "yama"
)

// Reasons are all of them.
var Reasons = []Reason{
	RefusedArch, RefusedCode, RefusedForeignBytes, RefusedMemoryProtection, RefusedNoRoom, RefusedOther, RefusedPermission, RefusedSeccomp,
	RefusedTraced, RefusedTSC, RefusedTSCAux, RefusedVFork, RefusedYama,
}

// MayPass tells whether the same process may permit it later.
func (r Reason) MayPass() bool {
	switch r {
	case RefusedForeignBytes, RefusedOther, RefusedTraced, RefusedVFork:
		return true
	}
	return false
}

// Refusal is an error about a process or a machine that does not permit an engine.
type Refusal struct {
	Reason Reason
	Err    error
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %v", r.Reason, r.Err) }

func (r *Refusal) Unwrap() error { return r.Err }

// Refuse returns a Refusal.
func Refuse(why Reason, format string, args ...any) error {
	return &Refusal{Reason: why, Err: fmt.Errorf(format, args...)}
}
