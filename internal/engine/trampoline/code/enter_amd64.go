package code

// registers are those of the processor by their numbers.
type registers [16]uint64

// enter runs text with these registers, all but RSP, until it returns, and then has them as the text left them.
//
//go:noescape
func enter(text uintptr, r *registers)

// cpuid asks the processor what it has.
func cpuid(leaf, part uint32) (eax, ebx, ecx, edx uint32)

// HasRDPID tells whether the processor has the instruction RDPID (Intel's manual, volume 2, CPUID).
func HasRDPID() bool {
	const features, rdpid = 7, 1 << 22
	if most, _, _, _ := cpuid(0, 0); most < features {
		return false
	}
	_, _, ecx, _ := cpuid(features, 0)
	return ecx&rdpid != 0
}
