//go:build linux

package uprobe

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

func (t *Process) clearCounts() error {
	return t.engine.objects.Counts.Put(t.slot, make([]bpf.TracerCounters, t.engine.cpus))
}

const (
	// attempts bounds how often counts are read again because a CPU is just changing them: that takes part of a microsecond, unless the
	// thread that does it has lost its CPU to another. quickAttempts are made at once, others with a pause before.
	attempts, quickAttempts = 200, 20
	pause                   = time.Millisecond
)

// settledCounts are what was read of each CPU at a moment when it was not changing its counts.
type settledCounts struct {
	// strict makes only what was read twice count: of one copy, a CPU that does not keep the order of its readings can read the last word first.
	strict bool
	perCPU []bpf.TracerCounters
	known  []bool
	before []bpf.TracerCounters
}

// update takes a further copy and tells whether something of each CPU is known by now.
func (s *settledCounts) update(copies []bpf.TracerCounters) bool {
	if s.perCPU == nil {
		s.perCPU, s.known = make([]bpf.TracerCounters, len(copies)), make([]bool, len(copies))
	}
	for cpu, c := range copies {
		if s.known[cpu] || c.Ends != c.Begins || s.strict && (s.before == nil || c != s.before[cpu]) {
			continue
		}
		s.perCPU[cpu], s.known[cpu] = c, true
	}
	if s.strict {
		s.before = append(s.before[:0], copies...)
	}
	return !slices.Contains(s.known, false)
}

// readCounts reads the counts of all CPUs, and when it did.
func (t *Process) readCounts() (perCPU []bpf.TracerCounters, at int64, err error) {
	settled := settledCounts{strict: runtime.GOARCH != "amd64"}
	var copies []bpf.TracerCounters
	for attempt := range attempts {
		if attempt >= quickAttempts {
			time.Sleep(pause)
		}
		at = lifecycle.Now()
		if err := t.engine.objects.Counts.Lookup(t.slot, &copies); err != nil {
			return nil, 0, fmt.Errorf("read the counts: %w", err)
		}
		if settled.update(copies) {
			return settled.perCPU, at, nil
		}
	}
	return nil, 0, fmt.Errorf("the counts of process %d do not stand still", t.pid)
}

// Counts reads the process's counts. With an error, it tells what it told last: nothing goes back.
func (t *Process) Counts() (lifecycle.Counts, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left {
		return t.last, nil
	}
	perCPU, now, err := t.readCounts()
	if err != nil {
		return t.last, err
	}
	n := lifecycle.Counts{Live: t.adoptedLive, Exited: t.adoptedExited}
	spent := t.adoptedTime
	for _, c := range perCPU {
		for s := range lifecycle.States {
			n.Live[s] += c.Live[s]
			spent[s] += c.Time[s]
		}
		n.Created += c.Created
		n.Exited += c.Exited
		n.Transitions += c.Begins
		n.Repeats += c.Repeats
		n.Resynchronized += c.Resynchronized
		n.EventsLost += c.EventsLost
		n.Untracked += c.Untracked
		n.BucketsLost += c.BucketsLost
		n.TreesWithheld += c.TreesWithheld
		n.Ignored += c.Ignored
	}
	for s := range lifecycle.States {
		// Changes between now and the reading, and those under way, are microseconds; a sum must not go back by them.
		n.Time[s] = max(uint64(max(spent[s]+n.Live[s]*now, 0)), t.last.Time[s])
	}
	t.last = n
	if n.BucketsLost > 0 {
		t.engine.crowded.Do(func() {
			t.engine.options.Logger.Warn("More distributions of durations than there is room for: some durations are missing in them",
				zap.Int("buckets", maxBuckets), zap.Uint32("pid", t.pid))
		})
	}
	return n, nil
}

// hitsInSlot returns how often the process in a slot has hit probes, give or take those that happen just now.
func (t *Engine) hitsInSlot(slot uint32) (sum uint64, err error) {
	var perCPU []bpf.TracerCounters
	if err := t.objects.Counts.Lookup(slot, &perCPU); err != nil {
		return 0, fmt.Errorf("read the counts: %w", err)
	}
	for _, c := range perCPU {
		sum += c.Begins + c.Repeats + c.Ignored
	}
	return sum, nil
}

// Distributions reads those of all processes that are followed.
func (t *Engine) Distributions() (engine.Distributions, error) {
	found := distributions{}
	return engine.Distributions(found), errors.Join(t.addFunctions(found), t.addRuns(found), t.addBuckets(found), t.eachDistribution(func(which uint32, perCPU []bpf.TracerDistribution) {
		for i := range perCPU {
			found.addDirect(which, &perCPU[i])
		}
	}))
}

// Distributions reads those of the process.
func (t *Process) Distributions() (engine.ProcessDistributions, error) {
	all, err := t.engine.Distributions()
	return all[t.ID()], err
}

// distributions are engine.Distributions that are being read.
type distributions engine.Distributions

// histogram returns one to add to.
func (d distributions) histogram(slot uint32, key lifecycle.HistogramKey) *lifecycle.Histogram {
	of := d[engine.ID(slot)]
	if of.Histograms == nil {
		of.Histograms = map[lifecycle.HistogramKey]*lifecycle.Histogram{}
		d[engine.ID(slot)] = of
	}
	if of.Histograms[key] == nil {
		of.Histograms[key] = &lifecycle.Histogram{Buckets: map[int]uint64{}}
	}
	return of.Histograms[key]
}

// addFunctions adds how many goroutines began in each function.
func (t *Engine) addFunctions(to distributions) error {
	if !t.options.ByFunction {
		return nil
	}
	return t.eachFunction(func(k bpf.TracerFunction, perCPU []bpf.TracerLives) {
		of := to[engine.ID(k.Slot)]
		if of.Functions == nil {
			of.Functions = map[uint64]lifecycle.Lives{}
			to[engine.ID(k.Slot)] = of
		}
		n := of.Functions[k.StartPc]
		for _, l := range perCPU {
			n.Created += l.Created
			n.Exited += l.Exited
		}
		of.Functions[k.StartPc] = n
	})
}

// addRuns adds for how long goroutines ran.
func (t *Engine) addRuns(to distributions) error {
	err := eachOfAllCPUs(t.objects.RunTimes, t.cpus, batch, func(k bpf.TracerFunction, perCPU []uint64) {
		of := to[engine.ID(k.Slot)]
		into := &of.Runs
		if k.System == 1 {
			into = &of.System
		}
		if *into == nil {
			*into = map[uint64]uint64{}
		}
		for _, ns := range perCPU {
			(*into)[k.StartPc] += ns
		}
		to[engine.ID(k.Slot)] = of
	})
	if err != nil {
		return fmt.Errorf("read for how long goroutines ran: %w", err)
	}
	return nil
}

// addBuckets adds the distributions that are kept bucket by bucket.
func (t *Engine) addBuckets(to distributions) error {
	keys, values := make([]bpf.TracerBucketKey, batch), make([]bpf.TracerBucket, batch)
	if err := eachBatch(t.objects.Histograms, keys, values, func(i int) {
		k, b := keys[i], values[i]
		h := to.histogram(uint32(k.Slot), lifecycle.HistogramKey{Kind: lifecycle.HistogramKind(k.Kind), Reason: k.Reason})
		h.Buckets[int(k.Bucket)] += b.Count
		h.Count += b.Count
		h.Sum += b.Sum
	}); err != nil {
		return fmt.Errorf("read the histograms: %w", err)
	}
	return nil
}

func (t *Engine) eachFunction(visit func(bpf.TracerFunction, []bpf.TracerLives)) error {
	if err := eachOfAllCPUs(t.objects.Functions, t.cpus, batch, visit); err != nil {
		return fmt.Errorf("read the counts by function: %w", err)
	}
	return nil
}

// eachOfAllCPUs calls visit with each entry of a map that has a value for each CPU, and reads several at once.
func eachOfAllCPUs[K, V any](m *ebpf.Map, cpus, atOnce int, visit func(K, []V)) error {
	keys, values := make([]K, atOnce), make([]V, atOnce*cpus)
	return eachBatch(m, keys, values, func(i int) { visit(keys[i], values[i*cpus:(i+1)*cpus]) })
}

// directKinds is how many kinds of distributions are in the map of distributions, the first ones.
const directKinds = uint32(lifecycle.Wait)

// addDirect adds one that is kept as a whole.
func (d distributions) addDirect(which uint32, counted *bpf.TracerDistribution) {
	var h *lifecycle.Histogram
	for bucket, n := range counted.Count {
		if n == 0 {
			continue
		}
		if h == nil {
			h = d.histogram(which/directKinds, lifecycle.HistogramKey{Kind: lifecycle.HistogramKind(which % directKinds)})
			h.Sum += counted.Sum
		}
		h.Buckets[bucket] += n
		h.Count += n
	}
}

// distributionsAtOnce bounds what is read in one call: one takes 2.4 KB for each CPU.
const distributionsAtOnce = 32

func (t *Engine) eachDistribution(visit func(uint32, []bpf.TracerDistribution)) error {
	if err := eachOfAllCPUs(t.objects.Distributions, t.cpus, distributionsAtOnce, visit); err != nil {
		return fmt.Errorf("read the distributions: %w", err)
	}
	return nil
}

// clearDistributions makes those of a slot 0.
func (t *Engine) clearDistributions(slot uint32) error {
	none := make([]bpf.TracerDistribution, t.cpus)
	for which := slot * directKinds; which < min((slot+1)*directKinds, t.objects.Distributions.MaxEntries()); which++ {
		if err := t.objects.Distributions.Put(which, none); err != nil {
			return fmt.Errorf("clear a distribution: %w", err)
		}
	}
	return nil
}
