//go:build linux

package inject

const (
	// underImage is not used: there the kernel puts a trampoline of its own for uprobes (arch/x86/kernel/uprobes.c).
	underImage = 0x20000
	// reach is how far below the executable's first page the trampolines may be, so that all of an executable of up to 1 GiB is within the
	// 2 GiB of a jump.
	reach = 1 << 30
)

// within returns between which addresses there may be trampolines: below the executable, from the lowest on.
func within(begin, lowest uint64, _ []Site) (from, to uint64) {
	if begin > reach {
		lowest = max(lowest, begin-reach)
	}
	return lowest, begin - min(begin, underImage)
}
