package lifecycle

// Homes are the places to which goroutines return when a piece of work is done, by what they were started for. One is shared by all processes of
// an executable, so that a goroutine's home is known at its first visit if one like it has been seen.
type Homes struct {
	known map[started]uint64 // Place.Key
}

// started is what goroutines were started for: a function by its link-time address, and the Place.Loop that it calls.
type started struct {
	start uint64
	loop  string
}

// NewHomes returns a Homes that knows none.
func NewHomes() *Homes { return &Homes{known: map[started]uint64{}} }

// maxHomes bounds how many of them are remembered; a program has no more go statements than that.
const maxHomes = 1 << 14

func (h *Homes) learn(of started, key uint64) {
	if len(h.known) >= maxHomes {
		clear(h.known)
	}
	h.known[of] = key
}

// Ranks of candidates, the best first.
const (
	ownRank    = iota // the start function itself waits for work
	nestedRank        // something that it has called waits for work
	sleepRank         // the start function itself sleeps
)

// candidate is a place that may be a goroutine's home.
type candidate struct {
	key   uint64
	count uint32
	rank  uint8
}

// maxCandidates is how many places a goroutine's home is sought among.
const maxCandidates = 8

// Of how often a place is visited: repeated is a habit, settled one that counts for more than the first wait of a life.
const (
	repeated = 2
	settled  = 3
)

// habits are a goroutine's waits, until its home is known, and its home since then.
type habits struct {
	home       uint64
	candidates []candidate // in the order in which they were first seen
	// began tells that the first wait of the life has been, first that it was the start function's own, for work: it is the home until another
	// has settled. A worker that always finds work never waits there again.
	began, first bool
}

// rankOf tells how good a candidate a place is.
func rankOf(p Place) (rank uint8, is bool) {
	switch {
	case p.Key == 0 || p.Source == Elsewhere:
		return 0, false
	case p.Source == Timer:
		return sleepRank, p.Own
	case p.Own:
		return ownRank, true
	default:
		return nestedRank, true
	}
}

// visit takes a wait of a goroutine, and tells whether it is one at home.
func (h *habits) visit(p Place, start uint64, homes *Homes) bool {
	first := !h.began
	h.began = true
	rank, is := rankOf(p)
	if !is {
		return false
	}
	of := started{start, p.Loop}
	if known, ok := homes.known[of]; ok && known == p.Key {
		*h = habits{home: p.Key, candidates: append(h.candidates[:0], candidate{key: p.Key, count: repeated}), began: true}
		return true
	}
	h.first = h.first || first && rank == ownRank
	c := h.count(p.Key, rank)
	if best := h.best(); best != nil {
		h.home = best.key
	}
	if h.home == p.Key && c != nil && c.count == repeated {
		homes.learn(of, p.Key)
	}
	return h.home == p.Key
}

func (h *habits) count(key uint64, rank uint8) *candidate {
	for i := range h.candidates {
		if h.candidates[i].key == key {
			h.candidates[i].count++
			return &h.candidates[i]
		}
	}
	if len(h.candidates) >= maxCandidates {
		return nil
	}
	h.candidates = append(h.candidates, candidate{key: key, count: 1, rank: rank})
	return &h.candidates[len(h.candidates)-1]
}

// best returns the candidate that is the home, nil if none is.
func (h *habits) best() *candidate {
	var best *candidate
	rival := false
	for i := range h.candidates {
		c := &h.candidates[i]
		rival = rival || i > 0 && c.rank == ownRank && c.count >= settled
		if c.count >= repeated && (best == nil || c.rank < best.rank) {
			best = c
		}
	}
	if first := h.candidates; h.first && (first[0].count >= repeated || !rival) {
		return &first[0]
	}
	return best
}
