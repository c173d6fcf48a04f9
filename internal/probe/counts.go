package probe

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

func (t *Target) clearCounts() error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	return t.tracer.objects.Counts.Put(t.slot, make([]bpf.TracerCounters, cpus))
}

// attempts bounds how often a CPU's counts are read again because it was just changing them.
const attempts = 100

// readCounts reads each CPU's counts at a moment when it is not changing them.
func (t *Target) readCounts() ([]bpf.TracerCounters, error) {
	var stable, copies []bpf.TracerCounters
	for range attempts {
		if err := t.tracer.objects.Counts.Lookup(t.slot, &copies); err != nil {
			return nil, fmt.Errorf("read the counts: %w", err)
		}
		if stable == nil {
			stable = make([]bpf.TracerCounters, len(copies))
			for i := range stable {
				stable[i].Ends = ^uint64(0)
			}
		}
		missing := 0
		for cpu, c := range copies {
			if stable[cpu].Ends == stable[cpu].Begins {
				continue
			}
			if stable[cpu] = c; c.Ends != c.Begins {
				missing++
			}
		}
		if missing == 0 {
			return stable, nil
		}
	}
	return nil, fmt.Errorf("the counts of process %d do not stand still", t.pid)
}

// Counts reads the process's figures. It is not safe for concurrent use with itself, Adopt or Repair.
func (t *Target) Counts() (lifecycle.Counts, error) {
	now := lifecycle.Now()
	perCPU, err := t.readCounts()
	if err != nil {
		return lifecycle.Counts{}, err
	}
	n := lifecycle.Counts{Live: t.adoptedLive, Exited: t.adoptedExited}
	time := t.adoptedTime
	for _, c := range perCPU {
		for s := range lifecycle.States {
			n.Live[s] += c.Live[s]
			time[s] += c.Time[s]
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
		n.Time[s] = max(uint64(max(time[s]+n.Live[s]*now, 0)), t.last.Time[s])
	}
	t.last = n
	return n, nil
}

// Functions are how many goroutines each target's have been, by the address of the function that they begin in.
type Functions map[uint32]map[uint64]lifecycle.Lives

// Of returns those of one target.
func (f Functions) Of(t *Target) map[uint64]lifecycle.Lives { return f[t.slot] }

// Functions reads the lives of all targets that are followed with ByFunction.
func (t *Tracer) Functions() (Functions, error) {
	found := Functions{}
	err := t.eachFunction(func(k bpf.TracerFunction, perCPU []bpf.TracerLives) {
		if found[k.Slot] == nil {
			found[k.Slot] = map[uint64]lifecycle.Lives{}
		}
		n := found[k.Slot][k.StartPc]
		for _, l := range perCPU {
			n.Created += l.Created
			n.Exited += l.Exited
		}
		found[k.Slot][k.StartPc] = n
	})
	return found, err
}

func (t *Tracer) eachFunction(visit func(bpf.TracerFunction, []bpf.TracerLives)) error {
	if err := eachOfAllCPUs(t.objects.Functions, batch, visit); err != nil {
		return fmt.Errorf("read the counts by function: %w", err)
	}
	return nil
}

func (t *Target) deleteFunctions() error {
	var mine []bpf.TracerFunction
	if err := t.tracer.eachFunction(func(k bpf.TracerFunction, _ []bpf.TracerLives) {
		if k.Slot == t.slot {
			mine = append(mine, k)
		}
	}); err != nil {
		return err
	}
	for _, k := range mine {
		if err := t.tracer.objects.Functions.Delete(k); err != nil {
			return fmt.Errorf("delete a count by function: %w", err)
		}
	}
	return nil
}

// eachOfAllCPUs calls visit with each entry of a map that has a value for each CPU, and reads several at once.
func eachOfAllCPUs[K, V any](m *ebpf.Map, atOnce int, visit func(K, []V)) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	keys, values := make([]K, atOnce), make([]V, atOnce*cpus)
	return eachBatch(m, keys, values, func(i int) { visit(keys[i], values[i*cpus:(i+1)*cpus]) })
}

// Histograms are the distributions of all targets at one time.
type Histograms map[uint32]map[lifecycle.HistogramKey]*lifecycle.Histogram

// Of returns the distributions of one target.
func (h Histograms) Of(t *Target) map[lifecycle.HistogramKey]*lifecycle.Histogram { return h[t.slot] }

// at returns a distribution to add to.
func (h Histograms) at(slot uint32, key lifecycle.HistogramKey) *lifecycle.Histogram {
	if h[slot] == nil {
		h[slot] = map[lifecycle.HistogramKey]*lifecycle.Histogram{}
	}
	if h[slot][key] == nil {
		h[slot][key] = &lifecycle.Histogram{Buckets: map[int]uint64{}}
	}
	return h[slot][key]
}

// Histograms reads the distributions of all targets.
func (t *Tracer) Histograms() (Histograms, error) {
	found := Histograms{}
	if err := t.eachBucket(func(k bpf.TracerBucketKey, perCPU []bpf.TracerBucket) {
		h := found.at(uint32(k.Slot), lifecycle.HistogramKey{Kind: lifecycle.HistogramKind(k.Kind), Reason: k.Reason})
		for _, b := range perCPU {
			h.Buckets[int(k.Bucket)] += b.Count
			h.Count += b.Count
			h.Sum += b.Sum
		}
	}); err != nil {
		return nil, err
	}
	return found, t.eachDistribution(func(which uint32, perCPU []bpf.TracerDistribution) {
		for i := range perCPU {
			addDistribution(found, which, &perCPU[i])
		}
	})
}

// directKinds is how many kinds of distributions are in the map of distributions, the first ones.
const directKinds = uint32(lifecycle.Wait)

func addDistribution(to Histograms, which uint32, d *bpf.TracerDistribution) {
	var h *lifecycle.Histogram
	for bucket, n := range d.Count {
		if n == 0 {
			continue
		}
		if h == nil {
			h = to.at(which/directKinds, lifecycle.HistogramKey{Kind: lifecycle.HistogramKind(which % directKinds)})
			h.Sum += d.Sum
		}
		h.Buckets[bucket] += n
		h.Count += n
	}
}

// distributionsAtOnce bounds what is read in one call: one takes 2.4 KB for each CPU.
const distributionsAtOnce = 32

func (t *Tracer) eachDistribution(visit func(uint32, []bpf.TracerDistribution)) error {
	if err := eachOfAllCPUs(t.objects.Distributions, distributionsAtOnce, visit); err != nil {
		return fmt.Errorf("read the distributions: %w", err)
	}
	return nil
}

// clearDistributions makes those of the slot 0.
func (t *Target) clearDistributions() error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	none := make([]bpf.TracerDistribution, cpus)
	for which := t.slot * directKinds; which < min((t.slot+1)*directKinds, t.tracer.objects.Distributions.MaxEntries()); which++ {
		if err := t.tracer.objects.Distributions.Put(which, none); err != nil {
			return fmt.Errorf("clear a distribution: %w", err)
		}
	}
	return nil
}

func (t *Tracer) eachBucket(visit func(bpf.TracerBucketKey, []bpf.TracerBucket)) error {
	if err := eachOfAllCPUs(t.objects.Histograms, batch, visit); err != nil {
		return fmt.Errorf("read the histograms: %w", err)
	}
	return nil
}

func (t *Target) deleteBuckets() error {
	var mine []bpf.TracerBucketKey
	if err := t.tracer.eachBucket(func(k bpf.TracerBucketKey, _ []bpf.TracerBucket) {
		if uint32(k.Slot) == t.slot {
			mine = append(mine, k)
		}
	}); err != nil {
		return err
	}
	for _, k := range mine {
		if err := t.tracer.objects.Histograms.Delete(k); err != nil {
			return fmt.Errorf("delete a histogram's bucket: %w", err)
		}
	}
	return nil
}
