//go:build linux

package telemetry

import (
	"cmp"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// other is the name of what is not among the top.
const other = "other"

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
	seen     lifecycle.Lives // at the collection before
	own      lifecycle.Lives // while it had a place
	placed   bool
	activity float64 // creations between two collections, the newest counting most
}

const (
	// fading is what a collection leaves of the activity before.
	fading = 0.8
	// livelier is how many times as active a function must be to take the place of another.
	livelier = 2
)

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
		f.activity = fading*f.activity + float64(now.Created-min(f.seen.Created, now.Created))
	}
	s.assign(top)
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

// assign gives the places among the top to the most active functions. One that is hardly more active than another does not displace it.
func (s *starts) assign(top int) {
	var placed, waiting []string
	for name, f := range s.functions {
		if f.placed {
			placed = append(placed, name)
		} else {
			waiting = append(waiting, name)
		}
	}
	byActivity := func(a, b string) int {
		return cmp.Or(cmp.Compare(s.functions[b].activity, s.functions[a].activity), cmp.Compare(a, b))
	}
	slices.SortFunc(waiting, byActivity)
	slices.SortFunc(placed, byActivity)
	free := top - len(placed)
	for _, name := range waiting {
		if free > 0 {
			free--
		} else {
			least := len(placed) - 1
			if least < 0 || s.functions[name].activity <= livelier*s.functions[placed[least]].activity+1 {
				return
			}
			s.functions[placed[least]].placed = false
			placed = placed[:least]
		}
		s.functions[name].placed = true
	}
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
