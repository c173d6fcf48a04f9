package lifecycle

// Creators calls visit with each followed goroutine that waits, for a reason, of which it is known where its creator was.
func (t *Tracker) Creators(visit func(reason uint8, creationPC uint64, creator *Stack)) {
	for _, g := range t.live {
		if g.Creator != nil && g.hasCurrent && g.current.State == Waiting {
			visit(g.current.Reason, g.CreationPC, g.Creator)
		}
	}
}
