package testbuild

import (
	"strconv"
	"strings"
)

// Profiled is a goroutine in a program's own profile (runtime/pprof's "goroutine" with debug=2).
type Profiled struct {
	// State is its state or, if it waits, the reason.
	State string
	// Creator is the function that created it, "" for the first.
	Creator string
}

// Profile reads the profile that testdata/parked writes.
func (p *Running) Profile() map[uint64]Profiled {
	p.t.Helper()
	lines, err := strconv.Atoi(p.Line())
	if err != nil {
		p.t.Fatal(err)
	}
	found := map[uint64]Profiled{}
	var id uint64
	for range lines {
		line := p.Line()
		if header, ok := strings.CutPrefix(line, "goroutine "); ok {
			number, rest, _ := strings.Cut(header, " [")
			if id, err = strconv.ParseUint(number, 10, 64); err != nil {
				p.t.Fatal(err)
			}
			state, _, _ := strings.Cut(strings.TrimSuffix(rest, "]:"), ",")
			found[id] = Profiled{State: state}
		}
		if creator, ok := strings.CutPrefix(line, "created by "); ok {
			creator, _, _ = strings.Cut(creator, " in goroutine ")
			found[id] = Profiled{State: found[id].State, Creator: creator}
		}
	}
	return found
}
