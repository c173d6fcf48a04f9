package telemetry

import (
	"cmp"
	"maps"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// other is the name of what is not among the top.
const other = "other"

// starts tells the lives of a process's goroutines by the functions that they were started for. A function that is told apart once stays
// so, and what was counted of it before stays with the others: no count ever goes back.
type starts struct {
	before map[string]lifecycle.Lives // of the functions that are told apart, when they began to be
}

// divide returns the lives by function, of which it tells the top apart, so that they sum up to total.
func (s *starts) divide(byFunction map[string]lifecycle.Lives, total lifecycle.Lives, top int) map[string]lifecycle.Lives {
	s.admit(byFunction, top)
	divided := map[string]lifecycle.Lives{}
	for name, before := range s.before {
		now := byFunction[name]
		own := lifecycle.Lives{Created: now.Created - before.Created, Exited: now.Exited - before.Exited}
		divided[name] = own
		total.Created -= min(own.Created, total.Created)
		total.Exited -= min(own.Exited, total.Exited)
	}
	divided[other] = total
	return divided
}

// admit fills the places among the top with the functions that have created the most.
func (s *starts) admit(byFunction map[string]lifecycle.Lives, top int) {
	first := s.before == nil
	if first {
		s.before = map[string]lifecycle.Lives{}
	}
	names := slices.SortedFunc(maps.Keys(byFunction), func(a, b string) int {
		return cmp.Or(cmp.Compare(byFunction[b].Created, byFunction[a].Created), cmp.Compare(a, b))
	})
	for _, name := range names {
		if len(s.before) >= top {
			return
		}
		if _, known := s.before[name]; known {
			continue
		}
		s.before[name] = byFunction[name]
		if first {
			s.before[name] = lifecycle.Lives{}
		}
	}
}

// byFunction names the functions of counts by address.
func (p *Process) byFunction(counts map[uint64]lifecycle.Lives) map[string]lifecycle.Lives {
	named := make(map[string]lifecycle.Lives, len(counts))
	for pc, n := range counts {
		name := cmp.Or(p.startOf(pc).Function, unknownFunction)
		sum := named[name]
		named[name] = lifecycle.Lives{Created: sum.Created + n.Created, Exited: sum.Exited + n.Exited}
	}
	return named
}
