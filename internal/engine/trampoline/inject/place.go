//go:build linux && amd64

package inject

import (
	"os"
	"strconv"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

const (
	pageSize = 4096
	// guard is kept free around the trampolines.
	guard = 0x10000
	// underImage is not used either: there the kernel puts a trampoline of its own for uprobes (arch/x86/kernel/uprobes.c).
	underImage = 0x20000
	// reach is how far below the executable's first page the trampolines may be, so that all of an executable of up to 1 GiB is within the
	// 2 GiB of a jump.
	reach = 1 << 30
)

// roomBelow returns a free place for the trampolines below an address.
func (all mappings) roomBelow(begin, lowest uint64) (uint64, error) {
	floor := lowest
	if begin > reach {
		floor = max(floor, begin-reach)
	}
	if begin < floor+underImage+TextSize {
		return 0, engine.Refuse(engine.RefusedNoRoom, "there are no addresses below %#x", begin)
	}
	at := begin - underImage - TextSize
	for i := len(all) - 1; i >= 0; i-- {
		m := all[i]
		if m.start >= at+TextSize+guard || m.end+guard <= at {
			continue
		}
		if m.start < floor+guard+TextSize {
			return 0, engine.Refuse(engine.RefusedNoRoom, "no addresses between %#x and %#x are free", floor, begin)
		}
		at = (m.start - guard - TextSize) &^ (pageSize - 1)
	}
	return at, nil
}

// lowestAddress returns the lowest address that processes may map.
func lowestAddress() uint64 {
	const usual = 0x10000
	text, err := os.ReadFile("/proc/sys/vm/mmap_min_addr")
	if err != nil {
		return usual
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return usual
	}
	return max(n, usual)
}
