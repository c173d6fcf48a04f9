package waitstats

import "github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"

// History dates the states of goroutines that are only looked at from time to time: a wait that is found at each look has lasted since
// the first one, as far as can be told.
type History struct {
	waits map[uint64]wait
	next  map[uint64]wait
}

type wait struct {
	goid   uint64
	reason uint8
	since  int64
}

// Begin begins a look.
func (h *History) Begin() { h.next = make(map[uint64]wait, len(h.waits)) }

// Date sets since when a goroutine, which was found at the time now, has been in its state. known is since when it has been waiting by
// what its runtime says, 0 if that says nothing.
func (h *History) Date(r *Goroutine, known, now int64) {
	r.Since = now
	if r.State != lifecycle.Waiting {
		return
	}
	if before, ok := h.waits[r.G]; ok && before.goid == r.GoID && before.reason == r.Reason {
		r.Since = before.since
	}
	if known != 0 {
		r.Since = min(r.Since, known)
	}
	h.next[r.G] = wait{r.GoID, r.Reason, r.Since}
}

// End ends a look: what it has not come upon is forgotten.
func (h *History) End() { h.waits, h.next = h.next, nil }
