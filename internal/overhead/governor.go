package overhead

import (
	"math"
	"slices"
	"time"
)

const (
	// comfort is the part of what is allowed below which more may be seen again.
	comfort = 0.6
	// sampledExcess is how much the probes cost with all trees sampled, by what they cost with none, at the most. farExcess is from how many
	// times what is allowed on nothing helps but probes for a part of the time.
	sampledExcess, farExcess = 1.5, 6

	// A window lasts for shortestWindow, or if that costs little, until what it costs is paid for in shortestGap, or for longestWindow. The
	// first is a little less than a tenth of a second, the interval at which Observe is called, give or take a little.
	shortestWindow, longestWindow = 90 * time.Millisecond, 5 * time.Second
	shortestGap                   = time.Second
	// longestGap is the longest gap between windows that tell of the time between them, longestDebt how much of a gap what was too much
	// before the first window can cost.
	longestGap, longestDebt = 10 * time.Second, 3 * time.Second
	// retry is the gap between windows that tell nothing of it, lastRetry what it is if a window takes longer to be paid for.
	retry, lastRetry = time.Minute, 10 * time.Minute
	// leastWatched is the time with probes by which it can be told what they would cost all the time.
	leastWatched = 500 * time.Millisecond
)

// Options say what a Governor decides about.
type Options struct {
	Limits Limits
	// Arbiter divides what all probes on the machine together may cost.
	Arbiter *Arbiter
	// Syscalls tells whether there are probes that only see system calls, Sampled whether trees are sampled.
	Syscalls, Sampled bool
}

// Governor decides how much is seen of the processes that run one executable. It is not safe for concurrent use.
type Governor struct {
	limits Limits
	member *member
	ladder []rung
	rung   int

	now      time.Duration // sum of what was observed
	since    time.Duration // when what the present rung costs began to be summed up
	watched  time.Duration // for how long there were probes since then
	attached bool
	lasted   time.Duration // for how long there was the present window, or gap
	turned   time.Duration // when it was decided to have it

	processes        map[int]*process
	unfollowed, host bucket
	coverage         Coverage
}

// process is one that is followed.
type process struct {
	bucket
	recent recent
}

// Change is one of level.
type Change struct {
	From, To Level
	Reason   Reason
	// PID is the process because of which it was, 0 if it was because of all or of others.
	PID int
	// Move says that less would be seen if there was no alternative: the level stays as it is.
	Move bool
}

// NewGovernor returns a Governor that begins with all that the configuration asks for.
func NewGovernor(o Options) *Governor {
	return &Governor{
		limits: o.Limits, member: o.Arbiter.join(), ladder: newLadder(o.Syscalls, o.Sampled), attached: true, processes: map[int]*process{},
	}
}

// Close lets others have what the arbiter has given.
func (g *Governor) Close() { g.member.leave() }

// Rest lets others have what the arbiter has given, for as long as nothing more is observed that costs anything: all processes are seen in
// another way.
func (g *Governor) Rest() { g.member.rest() }

// Level returns how much is seen.
func (g *Governor) Level() Level { return g.ladder[g.rung].level }

// Ratio returns which part of the trees is sampled of those that the configuration asks for.
func (g *Governor) Ratio() float64 { return g.ladder[g.rung].ratio }

// Attached tells whether the probes are to be attached now.
func (g *Governor) Attached() bool { return g.attached }

// Syscalls tells whether the probes that only see system calls are among them.
func (g *Governor) Syscalls() bool { return g.Level() < NoSyscalls }

// Share returns the probes' share of a process's processor time of late, over windows and gaps: what compares with the budget.
func (g *Governor) Share(pid int) float64 {
	if p := g.processes[pid]; p != nil {
		return p.recent.share()
	}
	return 0
}

// Coverage returns how much was seen up to now.
func (g *Governor) Coverage() Coverage { return g.coverage }

// Observe takes what the probes cost since the last call, and decides anew. It tells of a change of level, and that the alternative is to be
// taken.
func (g *Governor) Observe(o Observation) (Change, bool) {
	if o.Elapsed <= 0 {
		return Change{}, false
	}
	g.now += o.Elapsed
	g.coverage.add(o.Elapsed, g.attached && !o.Attaching, g.Ratio())
	if !g.attached || !o.Attaching {
		g.lasted += o.Elapsed
	}
	g.charge(o.attributed())
	if g.limits.Budget == 0 {
		return Change{}, false
	}
	before := g.Level()
	if worst, reason, pid := g.worst(); o.Alternative && worst.credit < 0 {
		return Change{From: before, To: before, Reason: reason, PID: pid, Move: true}, true
	}
	reason, pid := g.decide()
	return Change{From: before, To: g.Level(), Reason: reason, PID: pid}, g.Level() != before
}

// charge takes what was observed from what is allowed.
func (g *Governor) charge(o Observation) {
	seconds, watched := o.Elapsed.Seconds(), g.attached && !o.Attaching
	if watched {
		g.watched += o.Elapsed
	}
	for pid := range g.processes {
		if _, is := o.Processes[pid]; !is {
			delete(g.processes, pid)
		}
	}
	for pid, u := range o.Processes {
		p := g.processes[pid]
		if p == nil {
			p = &process{}
			g.processes[pid] = p
		}
		p.add(u.Cost.Seconds(), g.limits.ofProcess(u, o.Elapsed), seconds, watched)
		p.recent.add(u, seconds)
	}
	g.unfollowed.add(o.Unfollowed.Seconds(), g.limits.ofUnfollowed(o.Elapsed), seconds, watched)
	if part := g.member.spend(o.cost(), seconds); !math.IsInf(part, 1) {
		g.host.add(o.cost(), part*seconds, seconds, watched)
	}
}

// each visits all buckets, until visit reports false.
func (g *Governor) each(visit func(*bucket, Reason, int) bool) {
	for pid, p := range g.processes {
		if !visit(&p.bucket, Budget, pid) {
			return
		}
	}
	_ = visit(&g.unfollowed, Unfollowed, 0) && visit(&g.host, Host, 0)
}

// decide moves to another rung, or turns from window to gap or back, if it is time. It tells why.
func (g *Governor) decide() (Reason, int) {
	worst, reason, pid := g.worst()
	switch {
	case g.Level() < Windows && worst.credit < 0:
		g.descend(g.below(worst.excess))
	case g.Level() < Windows:
		g.riseInTime()
		return Room, 0
	case g.attached:
		if !g.window(worst.timeToPay()) {
			return Room, 0
		}
	default:
		g.gap(worst.timeToPay())
		return Room, 0
	}
	return reason, pid
}

// worst returns the bucket that takes longest to pay what is owed, or else has the least.
func (g *Governor) worst() (worst *bucket, why Reason, pid int) {
	key := func(b *bucket) (float64, float64) { return -b.timeToPay(), b.credit }
	g.each(func(b *bucket, r Reason, of int) bool {
		if worst != nil {
			pay, credit := key(b)
			if worstPay, worstCredit := key(worst); pay > worstPay || pay == worstPay && credit >= worstCredit {
				return true
			}
		}
		worst, why, pid = b, r, of
		return true
	})
	return worst, why, pid
}

// below returns the rung to go down to if the present one costs so many times what is allowed.
func (g *Governor) below(excess float64) int {
	windows := g.first(func(r rung) bool { return r.level == Windows })
	switch {
	case excess > farExcess:
		return windows
	case g.Ratio() > 0 && excess > sampledExcess:
		return g.first(func(r rung) bool { return r.level > Full && r.ratio == 0 })
	}
	return g.rung + 1
}

func (g *Governor) first(is func(rung) bool) int { return slices.IndexFunc(g.ladder, is) }

// descend sees less.
func (g *Governor) descend(to int) {
	for i := g.rung; i < to; i++ {
		g.ladder[i].leave(g.now)
	}
	g.rung = to
	forgiven := -float64(bonus)
	if g.Level() >= Windows {
		forgiven = longestDebt.Seconds()
	}
	g.each(func(b *bucket, _ Reason, _ int) bool {
		b.forgive(forgiven)
		return true
	})
	g.reset()
	if g.Level() == Windows {
		g.turn(!g.mustPause())
	}
}

// mustPause tells whether so much is owed that a gap is worth it.
func (g *Governor) mustPause() bool {
	worst, _, _ := g.worst()
	return worst.timeToPay() >= shortestGap.Seconds()
}

// riseInTime sees more if for long enough, what is seen now has cost little.
func (g *Governor) riseInTime() {
	if g.rung == 0 {
		return
	}
	above := &g.ladder[g.rung-1]
	switch {
	case !g.isComfortable():
		g.reset()
	case g.now-g.since >= above.hold && g.watched >= leastWatched:
		g.rung--
		above.reached = g.now
		g.reset()
	}
}

func (g *Governor) isComfortable() bool {
	comfortable := true
	g.each(func(b *bucket, _ Reason, _ int) bool {
		comfortable = b.isComfortable()
		return comfortable
	})
	return comfortable
}

// reset begins to sum up what the present rung costs.
func (g *Governor) reset() {
	g.since, g.watched = g.now, 0
	g.each(func(b *bucket, _ Reason, _ int) bool {
		b.reset()
		return true
	})
}

// turn begins a window or a gap.
func (g *Governor) turn(attached bool) { g.attached, g.lasted, g.turned = attached, 0, g.now }

// window decides whether one is over, by how many seconds it takes to pay for it. It tells whether less is seen because of that.
func (g *Governor) window(pay float64) (less bool) {
	switch {
	case g.lasted < shortestWindow && g.now-g.turned < longestWindow: // beyond that, something hangs
	case pay < shortestGap.Seconds():
		if g.lasted >= longestWindow {
			g.turn(true)
		}
		if pay == 0 && g.Level() == Windows {
			g.riseInTime()
		} else if pay == 0 {
			g.riseFromSnapshots(pay)
		}
	case g.Level() == Snapshots:
		g.turn(false)
		g.riseFromSnapshots(pay)
	default:
		g.turn(false)
		g.reset() // the hold begins anew: it was not comfortable
		if pay > longestGap.Seconds() {
			g.ladder[g.rung].leave(g.now)
			g.rung++
			return true
		}
	}
	return false
}

// riseFromSnapshots has windows again if what one costs can be paid for soon enough.
func (g *Governor) riseFromSnapshots(pay float64) {
	windows := &g.ladder[g.rung-1]
	if pay <= comfort*longestGap.Seconds() && g.now-g.since >= windows.hold {
		g.rung--
		windows.reached = g.now
		g.reset()
	}
}

// gap decides whether one is over: when what is owed is paid, or has become too much for what the program does by now.
func (g *Governor) gap(pay float64) {
	shortest, longest := time.Duration(0), longestGap
	if g.Level() == Snapshots {
		shortest, longest = retry, lastRetry
	}
	if g.lasted < shortest || pay > 0 && g.lasted < longest {
		return
	}
	g.each(func(b *bucket, _ Reason, _ int) bool {
		b.forgive(0)
		return true
	})
	g.turn(true)
	if g.Level() == Windows {
		g.riseInTime()
	}
}

// Coverage is how much was seen since an executable has its probes, in sums that only grow.
type Coverage struct {
	// Elapsed is the time that has passed, Attached that with probes.
	Elapsed, Attached time.Duration
	// Traced is that with probes, multiplied by the part of the trees that was sampled of those that the configuration asks for.
	Traced time.Duration
}

// Plus returns the sums of both.
func (c Coverage) Plus(o Coverage) Coverage {
	return Coverage{c.Elapsed + o.Elapsed, c.Attached + o.Attached, c.Traced + o.Traced}
}

// Minus returns what was seen since o.
func (c Coverage) Minus(o Coverage) Coverage {
	return Coverage{c.Elapsed - o.Elapsed, c.Attached - o.Attached, c.Traced - o.Traced}
}

func (c *Coverage) add(elapsed time.Duration, attached bool, ratio float64) {
	c.Elapsed += elapsed
	if attached {
		c.Attached += elapsed
		c.Traced += time.Duration(ratio * float64(elapsed))
	}
}

// recentMemory is how far back the exported share looks, in seconds: over several windows and gaps.
const recentMemory = 30

// recent is what a process used of late: what was, counts ever less.
type recent struct{ cpu, cost float64 }

func (r *recent) add(u Usage, elapsed float64) {
	kept := math.Exp(-elapsed / recentMemory)
	r.cpu = kept*r.cpu + u.CPU.Seconds()
	r.cost = kept*r.cost + u.Cost.Seconds()
}

func (r *recent) share() float64 {
	if r.cpu <= 0 {
		return 0
	}
	return r.cost / r.cpu
}
