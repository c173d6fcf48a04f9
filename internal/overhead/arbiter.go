package overhead

import (
	"math"
	"slices"
	"sync"
)

// spendMemory is how far back it is looked at what programs cost, in seconds: over some windows and gaps.
const spendMemory = 5

// Arbiter divides what all probes on a machine may cost among the programs that have some: those that cost less than an equal part have
// what they cost, and the others have equal parts of what is left (max-min fairness). So the costliest must see less first, and cheap ones
// do not notice. It is safe for concurrent use.
type Arbiter struct {
	all float64 // how many processors' time the probes may take

	mu      sync.Mutex
	members map[*member]struct{}
}

// NewArbiter returns an Arbiter for probes that may take a share of the time of so many processors; 0 sets no limit.
func NewArbiter(share float64, processors int) *Arbiter {
	all := share * float64(processors)
	if share == 0 {
		all = math.Inf(1)
	}
	return &Arbiter{all: all, members: map[*member]struct{}{}}
}

// member is a program that gets a part.
type member struct {
	arbiter *Arbiter
	rate    float64 // what it costs of late, in seconds a second
}

func (a *Arbiter) join() *member {
	m := &member{arbiter: a}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.members[m] = struct{}{}
	return m
}

func (m *member) leave() {
	m.arbiter.mu.Lock()
	defer m.arbiter.mu.Unlock()
	delete(m.arbiter.members, m)
}

// rest takes that the program's probes are gone: what they cost of late says nothing of what they will.
func (m *member) rest() {
	m.arbiter.mu.Lock()
	defer m.arbiter.mu.Unlock()
	m.rate = 0
}

// spend takes what the program's probes cost in a time, in seconds, and returns what they may, in seconds a second.
func (m *member) spend(cost, elapsed float64) float64 {
	a := m.arbiter
	a.mu.Lock()
	defer a.mu.Unlock()
	m.rate += (cost/elapsed - m.rate) * (1 - math.Exp(-elapsed/spendMemory))
	var others []float64
	for other := range a.members {
		if other != m {
			others = append(others, other.rate)
		}
	}
	return partBeside(others, a.all)
}

// partBeside returns what is left for one beside others, if none must have less than an equal part.
func partBeside(others []float64, all float64) float64 {
	slices.Sort(others)
	for i, rate := range others {
		equal := all / float64(len(others)+1-i)
		if rate >= equal {
			return equal
		}
		all -= rate
	}
	return all
}
