//go:build linux

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
)

// room returns the highest free place for the trampolines from one address to another.
func (all mappings) room(from, to uint64) (uint64, error) {
	if to < from+TextSize {
		return 0, engine.Refuse(engine.RefusedNoRoom, "there are no addresses from %#x to %#x", from, to)
	}
	at := (to - TextSize) &^ (pageSize - 1)
	for i := len(all) - 1; i >= 0; i-- {
		m := all[i]
		if m.start >= at+TextSize+guard || m.end+guard <= at {
			continue
		}
		if m.start < from+guard+TextSize {
			return 0, engine.Refuse(engine.RefusedNoRoom, "no addresses between %#x and %#x are free", from, to)
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
