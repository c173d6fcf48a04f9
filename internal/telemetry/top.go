//go:build linux

package telemetry

import (
	"cmp"
	"slices"
)

// other is the name of what is not among the top.
const other = "other"

// rank is what decides who has a place among the top.
type rank struct {
	placed   bool
	activity float64 // between two collections, the newest counting most
}

// ranked is what competes for a place: what embeds a rank.
type ranked interface{ ranking() *rank }

func (r *rank) ranking() *rank { return r }

const (
	// fading is what a collection leaves of the activity before.
	fading = 0.8
	// livelier is how many times as active one must be to take the place of another.
	livelier = 2
)

// grew takes how much was done since the collection before.
func (r *rank) grew(by uint64) { r.activity = fading*r.activity + float64(by) }

// assign gives the places among the top to the most active. One that is hardly more active than another does not displace it.
func assign[K comparable, R ranked](all map[K]R, compare func(a, b K) int, top int) {
	var placed, waiting []K
	for key, r := range all {
		if r.ranking().placed {
			placed = append(placed, key)
		} else {
			waiting = append(waiting, key)
		}
	}
	rankOf := func(key K) *rank { return all[key].ranking() }
	byActivity := func(a, b K) int {
		return cmp.Or(cmp.Compare(rankOf(b).activity, rankOf(a).activity), compare(a, b))
	}
	slices.SortFunc(waiting, byActivity)
	slices.SortFunc(placed, byActivity)
	free := top - len(placed)
	for _, key := range waiting {
		if free > 0 {
			free--
		} else {
			least := len(placed) - 1
			if least < 0 || rankOf(key).activity <= livelier*rankOf(placed[least]).activity+1 {
				return
			}
			rankOf(placed[least]).placed = false
			placed = placed[:least]
		}
		rankOf(key).placed = true
	}
}

// shares tells apart the largest shares in a sum that only grows. None of them goes back, nor does what is left for all others, and together they
// are the sum, but for shares that had a place and gave it up: what they had until then is told no more.
type shares[K comparable] struct {
	compare func(a, b K) int // any order
	of      map[K]*share
	rest    uint64
}

type share struct {
	rank
	seen uint64 // at the collection before
	own  uint64 // while it had a place
}

// divide returns those shares in a sum that have a place among the top, by what they are now, and what is left for all others.
func (s *shares[K]) divide(now map[K]uint64, sum uint64, top int) (placed map[K]uint64, rest uint64) {
	if s.of == nil {
		s.of = map[K]*share{}
	}
	grown := map[K]uint64{}
	for key, n := range now {
		if s.of[key] == nil {
			s.of[key] = &share{}
		}
		grown[key] = n - min(s.of[key].seen, n)
	}
	for key, x := range s.of {
		x.grew(grown[key])
		x.seen += grown[key]
	}
	assign(s.of, s.compare, top)
	placed = map[K]uint64{}
	for key, x := range s.of {
		if x.placed {
			x.own += grown[key]
			placed[key] = x.own
		}
		sum -= min(x.own, sum)
	}
	s.rest = max(s.rest, sum)
	return placed, s.rest
}
