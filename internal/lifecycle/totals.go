package lifecycle

// Totals is what the goroutines of one process did in a time.
type Totals struct {
	Counts     Counts
	Histograms map[HistogramKey]*Histogram
	// Functions are the lives by the address at which goroutines start, nil if they are not counted.
	Functions map[uint64]Lives
	// Runs is for how long goroutines ran, by the address at which they start, in ns, nil if that is not added up; System the same of those of
	// the runtime itself.
	Runs, System map[uint64]uint64
	// Lines is how long they have waited where, of waits that have ended, in ns; nil if that is not counted.
	Lines map[Line]uint64
}

// Line is where goroutines wait: why, as a value of g.waitreason, and the return address of the program's own call that waits.
type Line struct {
	Reason uint8
	PC     uint64
}

// Add adds what they did in a later time. The goroutines that live are those of that time.
func (t *Totals) Add(o Totals) {
	t.Counts.Add(o.Counts)
	if t.Histograms == nil {
		t.Histograms = map[HistogramKey]*Histogram{}
	}
	for key, h := range o.Histograms {
		if t.Histograms[key] == nil {
			t.Histograms[key] = &Histogram{Buckets: map[int]uint64{}}
		}
		t.Histograms[key].add(h)
	}
	if t.Functions == nil && o.Functions != nil {
		t.Functions = map[uint64]Lives{}
	}
	for pc, l := range o.Functions {
		sum := t.Functions[pc]
		t.Functions[pc] = Lives{Created: sum.Created + l.Created, Exited: sum.Exited + l.Exited}
	}
	if t.System == nil {
		t.System = map[uint64]uint64{}
	}
	for pc, ns := range o.System {
		t.System[pc] += ns
	}
	if t.Runs == nil && o.Runs != nil {
		t.Runs = map[uint64]uint64{}
	}
	for pc, ns := range o.Runs {
		t.Runs[pc] += ns
	}
	if t.Lines == nil && o.Lines != nil {
		t.Lines = map[Line]uint64{}
	}
	for line, ns := range o.Lines {
		t.Lines[line] += ns
	}
}

func (h *Histogram) add(o *Histogram) {
	for i, n := range o.Buckets {
		h.Buckets[i] += n
	}
	h.Count += o.Count
	h.Sum += o.Sum
}

// Add adds the counts of a later time. The goroutines that live are those of that time.
func (n *Counts) Add(o Counts) {
	n.Live = o.Live
	for s, ns := range o.Time {
		n.Time[s] += ns
	}
	n.Created += o.Created
	n.Exited += o.Exited
	n.Transitions += o.Transitions
	n.Repeats += o.Repeats
	n.Resynchronized += o.Resynchronized
	n.Ignored += o.Ignored
	n.EventsLost += o.EventsLost
	n.Untracked += o.Untracked
	n.BucketsLost += o.BucketsLost
	n.TreesWithheld += o.TreesWithheld
	n.LabelsMissed += o.LabelsMissed
}
