//go:build linux

package telemetry

import (
	"cmp"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// starts tells the lives of a process's goroutines by the functions that they were started for: apart those of the functions that have a
// place among the top, and together those of all others. A count never goes back, and all that are told sum up to what all goroutines did,
// but for functions that had a place and gave it up: what they did until then is told no more. Of the goroutines of a function that live when
// it gets or loses its place, the oldest are taken to exit first, on the account that counted their creation.
type starts struct {
	functions map[string]*start
	rest      lifecycle.Lives // told of the others last
}

// start is a function that goroutines were started for.
type start struct {
	rank                 // by creations
	seen lifecycle.Lives // at the collection before
	own  lifecycle.Lives // while it had a place
}

// divide returns the lives by function, of which it tells the top apart, so that they sum up to total.
func (s *starts) divide(byFunction map[string]lifecycle.Lives, total lifecycle.Lives, top int) map[string]lifecycle.Lives {
	if s.functions == nil {
		s.functions = map[string]*start{}
	}
	for name, now := range byFunction {
		f := s.functions[name]
		if f == nil {
			f = &start{}
			s.functions[name] = f
		}
		f.grew(now.Created - min(f.seen.Created, now.Created))
	}
	assign(s.functions, cmp.Compare[string], top)
	divided := map[string]lifecycle.Lives{}
	left := total
	for name, f := range s.functions {
		f.count(byFunction[name])
		if f.placed {
			divided[name] = f.own
		}
		left.Created -= min(f.own.Created, left.Created)
		left.Exited -= min(f.own.Exited, left.Exited)
	}
	// What is counted of functions and what of all are not read at the same moment.
	s.rest = lifecycle.Lives{Created: max(s.rest.Created, left.Created), Exited: max(s.rest.Exited, left.Exited)}
	divided[other] = s.rest
	return divided
}

// count takes what the function's goroutines have done by now.
func (f *start) count(now lifecycle.Lives) {
	created, exited := now.Created-min(f.seen.Created, now.Created), now.Exited-min(f.seen.Exited, now.Exited)
	own := int64(f.own.Created - f.own.Exited)          // live, and their creation was counted as its own
	others := int64(f.seen.Created-f.seen.Exited) - own // live, and it was counted as the others'
	if f.placed {
		f.own.Created += created
		f.own.Exited += exited - min(exited, uint64(max(others, 0)))
	} else {
		f.own.Exited += min(exited, uint64(max(own, 0)))
	}
	f.seen = lifecycle.Lives{Created: max(f.seen.Created, now.Created), Exited: max(f.seen.Exited, now.Exited)}
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
