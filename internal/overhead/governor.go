package overhead

import "time"

// Usage is what the probes cost a process in a time.
type Usage struct {
	// Elapsed is that time.
	Elapsed time.Duration
	// CPU is the processor time that the process used, Cost how much of it the probes did.
	CPU, Cost time.Duration
}

// Share returns the probes' share of the processor time.
func (u Usage) Share() float64 {
	if u.CPU <= 0 {
		return 0
	}
	return float64(u.Cost) / float64(u.CPU)
}

func (u *Usage) add(o Usage) {
	u.Elapsed += o.Elapsed
	u.CPU += o.CPU
	u.Cost += o.Cost
}

// Limits of what the Governor does.
const (
	// negligible is the share of one processor that is never too much, whatever it is of what a nearly idle process uses.
	negligible = 0.005
	// comfort is the part of the budget below which more may be seen again.
	comfort = 0.6
	// window is for how long a level is looked at before it is judged.
	window = 500 * time.Millisecond
	// sampledShare is how much the probes cost with all trees sampled, by what they cost with none, at the most.
	sampledShare = 1.5
	// fewer divides the ratio of sampling when it must go down, fewest is the least that is worth sampling.
	fewer, fewest = 4, 0.01

	// firstHold is for how long probes must have cost little until more is seen again; it doubles up to lastHold each time that this
	// turns out to have been too early.
	firstHold, lastHold = 10 * time.Second, 5 * time.Minute

	// A slice lasts for shortestSlice, or if that costs little, until what it costs is paid for in shortestGap, or for longestSlice. The first
	// is a little less than a tenth of a second, the interval at which Observe is called, give or take a little.
	shortestSlice, longestSlice = 90 * time.Millisecond, 5 * time.Second
	shortestGap                 = time.Second
	// longestGap is the longest pause between slices that tell of the time between them, retry when a slice is made beyond that.
	longestGap, retry = 10 * time.Second, time.Minute
)

// Governor decides how much is seen of a program. It is not safe for concurrent use.
type Governor struct {
	budget   float64
	syscalls bool
	sampled  bool

	level    Level
	ratio    float64
	attached bool
	now      Usage         // since the level was judged, or since the probes were attached or detached
	share    float64       // when it was judged
	debt     time.Duration // processor time that slices took of what the budget has yet to give
	calm     time.Duration // for how long the probes have cost little
	risen    time.Duration // for how long since more is seen than before
	hold     time.Duration
}

// NewGovernor returns a Governor that lets probes cost a share of a process's processor time. syscalls tells whether there are probes that
// only see system calls, sampled whether trees are sampled.
func NewGovernor(budget float64, syscalls, sampled bool) *Governor {
	return &Governor{budget: budget, syscalls: syscalls, sampled: sampled, ratio: 1, attached: true, hold: firstHold, risen: lastHold}
}

// Level returns how much is seen.
func (g *Governor) Level() Level { return g.level }

// Ratio returns which part of the trees is sampled of those that the configuration asks for.
func (g *Governor) Ratio() float64 { return g.ratio }

// Attached tells whether the probes are to be attached now.
func (g *Governor) Attached() bool { return g.attached }

// Syscalls tells whether the probes that only see system calls are among them.
func (g *Governor) Syscalls() bool { return g.level < NoSyscalls }

// Share returns the probes' share of the process's processor time while they were last attached.
func (g *Governor) Share() float64 { return g.share }

// Observe takes what the probes cost since the last call the process to which they matter most.
func (g *Governor) Observe(u Usage) {
	g.now.add(u)
	g.risen += u.Elapsed
	switch {
	case g.level < Slices:
		if g.now.Elapsed >= window {
			g.judge()
		}
	case g.attached:
		g.slice()
	default:
		g.pause()
	}
}

// begin forgets what was before.
func (g *Governor) begin() { g.now = Usage{} }

func (g *Governor) isNegligible() bool {
	return g.now.Cost.Seconds() <= negligible*g.now.Elapsed.Seconds()
}

// judge decides about a level on which the probes are always attached.
func (g *Governor) judge() {
	g.share = g.now.Share()
	switch {
	case g.share > g.budget && !g.isNegligible():
		g.descend()
	case g.share < comfort*g.budget || g.isNegligible():
		if g.calm += g.now.Elapsed; g.calm >= g.hold {
			g.rise()
		}
	default:
		g.calm = 0
	}
	g.begin()
}

// descend sees less.
func (g *Governor) descend() {
	if g.risen < g.hold {
		g.hold, g.risen = min(2*g.hold, lastHold), lastHold
	}
	g.calm = 0
	if g.level < NoSyscalls && g.sampled && g.ratio > 0 {
		g.level = FewerTrees
		if g.ratio /= fewer; g.ratio < fewest || g.share > sampledShare*g.budget {
			g.ratio = 0
		}
		return
	}
	if g.level < NoSyscalls && g.syscalls {
		g.level = NoSyscalls
		return
	}
	g.level = Slices
}

// rise sees more.
func (g *Governor) rise() {
	if g.level == Full {
		g.hold = firstHold
		return
	}
	g.calm, g.risen = 0, 0
	switch {
	case g.level >= Slices && g.syscalls:
		g.level = NoSyscalls
	case g.level >= NoSyscalls && g.sampled:
		g.level = FewerTrees
	case g.level == FewerTrees && g.ratio < 1:
		if g.ratio = max(fewer*g.ratio, fewest); g.ratio < 1 {
			return
		}
		fallthrough
	default:
		g.level, g.ratio = Full, 1
	}
}

// slice decides when one is over.
func (g *Governor) slice() {
	if g.now.Elapsed < shortestSlice {
		return
	}
	owed := g.debt + g.now.Cost - time.Duration(g.budget*float64(g.now.CPU))
	if owed <= 0 || g.isNegligible() {
		owed = 0
	}
	gap := g.timeToPay(owed)
	if gap < shortestGap && g.now.Elapsed < longestSlice {
		return
	}
	g.share, g.debt = g.now.Share(), owed
	switch {
	case owed == 0 && (g.share < comfort*g.budget || g.isNegligible()):
		g.rise()
	case owed == 0:
		g.level = Slices // one slice after the other
	case gap > longestGap:
		g.level, g.attached = Snapshots, false
	default:
		g.level, g.attached = Slices, false
	}
	g.begin()
}

// timeToPay returns how long it takes the budget to give processor time, if the process goes on to use as much.
func (g *Governor) timeToPay(owed time.Duration) time.Duration {
	given := g.budget * g.now.CPU.Seconds() / g.now.Elapsed.Seconds()
	if owed == 0 || given <= 0 {
		return 0
	}
	return time.Duration(min(owed.Seconds()/given, retry.Seconds()) * float64(time.Second))
}

// pause decides when the next slice begins: when the last is paid for, or the process hardly does anything any more.
func (g *Governor) pause() {
	paid := time.Duration(g.budget * float64(g.now.CPU))
	switch {
	case g.level == Slices && (paid >= g.debt || g.now.Elapsed >= longestGap),
		g.now.Elapsed >= retry:
		g.debt, g.attached = 0, true
		g.begin()
	}
}
