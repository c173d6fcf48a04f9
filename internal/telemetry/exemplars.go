//go:build linux

package telemetry

import (
	"maps"
	"math/bits"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// exemplar is one duration of a sampled goroutine.
type exemplar struct {
	ns, at int64
	of     lifecycle.Ref
}

// reservoir holds the newest exemplar of each magnitude, a power of 16 ns, so that the rare long ones stay beside the many short.
type reservoir [16]exemplar

// exemplars are those of a process's durations since a pipeline took the last ones.
type exemplars struct {
	mu      sync.Mutex
	newest  map[lifecycle.HistogramKey]*reservoir // since they were offered
	offered map[lifecycle.HistogramKey]*reservoir // not changed any more
}

var histogramOf = [lifecycle.States]lifecycle.HistogramKind{
	lifecycle.Runnable: lifecycle.Schedule, lifecycle.Running: lifecycle.Run, lifecycle.Syscall: lifecycle.SyscallTime, lifecycle.Waiting: lifecycle.Wait,
}

// Observe takes the durations that an event of a sampled goroutine ends as exemplars of their distributions.
func (p *Process) Observe(g *lifecycle.Goroutine, e *lifecycle.Event) {
	if g.System || g.Hidden || g.GoID == 0 || e.Kind == lifecycle.Created || e.From == lifecycle.Dead {
		return
	}
	of := g.Lasting(e.Since)
	if !of.Followed() {
		return
	}
	p.exemplars.mu.Lock()
	defer p.exemplars.mu.Unlock()
	key := lifecycle.HistogramKey{Kind: histogramOf[e.From]}
	if e.From == lifecycle.Waiting {
		key.Reason = e.FromReason
	}
	if e.From != lifecycle.Runnable || e.To == lifecycle.Running { // as the kernel counts
		p.exemplars.add(key, of, e.Time-e.Since, e.Time)
	}
	if e.Kind == lifecycle.Exited && !g.Preexisting && g.Segment == 0 {
		p.exemplars.add(lifecycle.HistogramKey{Kind: lifecycle.Lifetime}, of, e.Time-g.Start, e.Time)
	}
}

func (x *exemplars) add(key lifecycle.HistogramKey, of lifecycle.Ref, ns, at int64) {
	if ns <= 0 {
		return
	}
	r := x.newest[key]
	if r == nil {
		if x.newest == nil {
			x.newest = map[lifecycle.HistogramKey]*reservoir{}
		}
		r = &reservoir{}
		x.newest[key] = r
	}
	r[(bits.Len64(uint64(ns))-1)/4] = exemplar{ns: ns, at: at, of: of}
}

// offer returns the exemplars, with those that were offered before and not taken.
func (x *exemplars) offer() map[lifecycle.HistogramKey]*reservoir {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := map[lifecycle.HistogramKey]*reservoir{}
	maps.Copy(all, x.offered)
	for key, r := range x.newest {
		r.fill(all[key])
		all[key] = r
	}
	x.newest, x.offered = nil, all
	return all
}

// fill takes older exemplars where there are no newer ones.
func (r *reservoir) fill(older *reservoir) {
	for i := range r {
		if r[i].ns == 0 && older != nil {
			r[i] = older[i]
		}
	}
}

// taken forgets those that were offered.
func (x *exemplars) taken() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.offered = nil
}

// addTo adds the exemplars to a data point.
func (r *reservoir) addTo(to pmetric.ExemplarSlice, p *Process, reading Reading) {
	for _, x := range r {
		if x.ns == 0 {
			continue
		}
		added := to.AppendEmpty()
		added.SetDoubleValue(time.Duration(x.ns).Seconds())
		added.SetTimestamp(reading.Timestamp(x.at))
		added.SetTraceID(p.ids.trace(x.of.Tree))
		added.SetSpanID(p.ids.span(x.of.GoID, x.of.Segment, 0))
		added.FilteredAttributes().PutInt(attributeGoID, int64(x.of.GoID))
	}
}
