package lifecycle

import (
	"math"
	"time"
)

// Limits bound what is kept of a goroutine.
type Limits struct {
	// Intervals is how many of them a segment has at the most.
	Intervals int
	// ShortestInterval is the shortest interval that is kept as one.
	ShortestInterval time.Duration
	// Segment is how long a segment lasts before the next one begins.
	Segment time.Duration
	// TreeIntervals is how many goroutines and intervals are told of a tree before those that are created in it are omitted; 0 sets no limit.
	TreeIntervals int
	// Hide leaves out goroutines that hide more than they tell: the runtime's own, helpers of libraries, which are counted by the ones that they
	// serve, and those that were there before and have never left the wait in which they were found; of goroutines that carry what others read
	// and write, what concerns no piece of work as far as is known; and of others the time at home.
	Hide bool
	// Outlives is how long after its root has ended a trace goes on.
	Outlives time.Duration
	// Join makes goroutines that inherit a span of the program's own a part of its trace, and of others what they do while they have such a one.
	Join bool
}

// maxContexts is how many spans of the program's own a segment remembers.
const maxContexts = 32

// Tracker is the state machine of one process's goroutines. It is not safe for concurrent use.
type Tracker struct {
	limits Limits
	live   map[uint64]*Goroutine // by G
	stacks stacks
	// omitted are goroutines that there was no room for in their trees, by G.
	omitted map[uint64]*episode
	// inherited are contexts of goroutines that are to be created, by G.
	inherited map[uint64]SpanContext
	// spare is memory for goroutines to come.
	spare    []*Goroutine
	places   Places
	homes    *Homes
	withheld bool
	asked    map[uint64]uint64 // goids by G
	// following are the channels whose items are told of, items for what those were sent that nobody has received.
	following map[uint64]bool
	items     map[uint64]item // by Event.Item
	told      []*Goroutine    // what has ended, and was not handed on yet
}

// NewTracker returns a Tracker that knows no goroutine. Without places, each life is one episode. Homes are shared by the processes of an
// executable.
func NewTracker(limits Limits, places Places, homes *Homes) *Tracker {
	return &Tracker{
		limits: limits, live: map[uint64]*Goroutine{}, omitted: map[uint64]*episode{}, inherited: map[uint64]SpanContext{},
		places: places, homes: homes, asked: map[uint64]uint64{}, following: map[uint64]bool{}, items: map[uint64]item{},
	}
}

// Withhold says whether nothing is told of traces that begin with an episode from now on.
func (t *Tracker) Withhold(withheld bool) { t.withheld = withheld }

// Len returns how many goroutines are followed.
func (t *Tracker) Len() int { return len(t.live) }

// Get returns the goroutine that has a g, nil if it is not followed.
func (t *Tracker) Get(g uint64) *Goroutine { return t.live[g] }

// Handle takes an event and returns what is over by it: lives and episodes. The slice is valid until the next call.
func (t *Tracker) Handle(e *Event) []*Goroutine {
	t.told = t.told[:0]
	switch e.Kind {
	case Created:
		t.create(e)
	case Transition:
		if g := t.live[e.G]; g != nil {
			t.change(g, e)
		}
	case Labelled:
		t.label(e)
	case Sent:
		t.send(e)
	case Received:
		t.receive(e)
	case Missed:
		t.miss(e)
	case Exited:
		delete(t.omitted, e.G)
		if g := t.live[e.G]; g != nil {
			delete(t.live, e.G)
			t.change(g, e)
			t.end(g, e)
		}
	}
	return t.told
}

// create begins a life, and ends the one that had the same g before, if its exit was lost.
func (t *Tracker) create(e *Event) {
	if before := t.live[e.G]; before != nil {
		t.interrupt(before, before.current.Start, Unseen)
	}
	delete(t.live, e.G)
	delete(t.omitted, e.G)
	context, inherits := t.inherited[e.G]
	delete(t.inherited, e.G)
	creator, origin := t.creator(e)
	if creator != nil && creator.Hidden {
		creator, origin = nil, origin.seen()
	}
	owner := t.owner(e, origin)
	if t.isHidden(e) {
		t.hide(e, creator, owner)
		return
	}
	if full := t.full(e, owner); full != nil {
		t.omit(e, full)
		return
	}
	g := t.blank()
	*g = Goroutine{
		G: e.G, GoID: e.GoID, ParentGoID: e.ParentGoID,
		System: e.System, Preexisting: e.Preexisting,
		StartPC: e.StartPC, CreationPC: e.CreationPC, Creator: t.stacks.intern(e.CreatorStack),
		Start: e.Time, Lost: e.Lost,
		current:    Interval{Start: e.Time, State: e.To, Reason: e.ToReason, Stack: t.stacks.intern(e.Stack)},
		hasCurrent: true,
		Intervals:  g.Intervals[:0],
		Contexts:   g.Contexts[:0],
		wakers:     g.wakers[:0],
		Unshown:    g.Unshown[:0],
		origin:     origin,
		habits:     habits{candidates: g.habits.candidates[:0]},
	}
	if e.Preexisting {
		g.first = int(time.Duration(e.Time).Microseconds())
		g.Segment, g.newest = g.first, g.first
	}
	began := t.enter(g, e.Time, owner)
	began.part = t.partOf(g, owner)
	began.early = began.part != work || origin.isEarlyAt(e.Time)
	if t.places != nil && t.places.Role(e.StartPC) == Request {
		g.BegunBy = Network
	}
	if owner == nil && creator != nil {
		g.Parent, g.Follows = creator.lasting(), true
		if creator.life == nil {
			t.keepAt(e.Parent, origin, e.Time)
		}
		if origin != nil {
			origin.created = true
			began.untold = origin.untold
		}
	}
	if inherits {
		t.inherit(g, creator, context)
	}
	t.live[e.G] = g
	if e.Preexisting && e.To == Waiting {
		t.park(g, e.Time, e.ToReason)
	}
}

// isHidden tells whether nothing is told of a new goroutine.
func (t *Tracker) isHidden(e *Event) bool {
	return t.limits.Hide && (e.System || t.places != nil && t.places.Role(e.StartPC) == Helper)
}

// hide begins a life of which nothing is told, for the sake of an episode, if any.
func (t *Tracker) hide(e *Event, creator *Goroutine, serves *episode) {
	g := &Goroutine{
		G: e.G, GoID: e.GoID, ParentGoID: e.ParentGoID, System: e.System, Preexisting: e.Preexisting, Hidden: true,
		StartPC: e.StartPC, CreationPC: e.CreationPC, Start: e.Time,
		current: Interval{Start: e.Time, State: e.To, Reason: e.ToReason}, hasCurrent: true,
	}
	own := t.enter(g, e.Time, nil)
	own.untold, own.hidden, own.serves = true, true, serves
	if serves != nil {
		serves.hasChildren = true // it has work to do
	}
	if creator != nil && creator.episode != nil {
		creator.Helpers++
	}
	t.live[e.G] = g
}

// owner returns the episode that a new goroutine belongs to, nil if it has a trace of its own.
func (t *Tracker) owner(e *Event, origin *episode) *episode {
	if !t.mayOwn(origin, e.Time) || t.places != nil && t.places.Role(e.StartPC) == Request {
		return nil
	}
	return origin
}

// partOf returns what the first episode of a goroutine is.
func (t *Tracker) partOf(g *Goroutine, owner *episode) part {
	switch {
	case g.Preexisting, g.System:
		return found
	case owner != nil && owner.part == startUp, t.places != nil && t.places.Role(g.StartPC) == Main:
		return startUp
	}
	return work
}

// lasting returns the part of a goroutine that is told of in any case.
func (g *Goroutine) lasting() Ref {
	if g.life != nil {
		return g.lifeRef()
	}
	return g.ref()
}

// blank returns a Goroutine to be filled, whose intervals may have room.
func (t *Tracker) blank() *Goroutine {
	if n := len(t.spare); n > 0 {
		g := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return g
	}
	return &Goroutine{}
}

// maxSpare is how many goroutines' memory is kept for others, maxSpareIntervals of how many intervals each.
const (
	maxSpare          = 128
	maxSpareIntervals = 32
)

// Recycle takes back a goroutine that Handle returned: its memory becomes another's.
func (t *Tracker) Recycle(g *Goroutine) {
	if len(t.spare) < maxSpare && cap(g.Intervals) <= maxSpareIntervals {
		t.spare = append(t.spare, g)
	}
}

// creator returns the goroutine that created another, and in which episode; nil if it is not followed.
func (t *Tracker) creator(e *Event) (*Goroutine, *episode) {
	if e.Parent == 0 || e.Parent == e.G {
		return nil, nil
	}
	g, origin := t.actor(e.Parent, 0, e.Time)
	return g, t.afterReply(origin, e.Time)
}

func (g *Goroutine) ref() Ref {
	return Ref{GoID: g.GoID, StartPC: g.StartPC, Segment: g.Segment, Tree: g.Tree}
}

// change ends the interval that an event tells the end of and begins the next.
func (t *Tracker) change(g *Goroutine, e *Event) {
	g.name(e.GoID)
	g.Lost += e.Lost
	if e.Time < g.Start {
		return // of the segment before, which has been told
	}
	if e.From == Running && !e.Labelled {
		g.carried = nil
	}
	if e.From == Running && (e.To == Syscall || e.To == Dead) || g.visited.isOld(len(g.Intervals)) {
		t.confirmVisit(g)
	}
	if g.replied.isOld(len(g.Intervals)) {
		t.split(g, g.replied.at)
	}
	t.endInterval(g, e)
	if e.Lost > 0 && g.Cause != NoEpisode {
		g.Cause = Unknown // it may have been at home meanwhile
	}
	g.current = Interval{Start: e.Time, State: e.To, Reason: e.ToReason, Stack: t.stacks.intern(e.Stack), Within: t.joinsNow(g)}
	g.hasCurrent, g.changed = e.To != Dead, true
	if g.reads {
		g.hasRead(e)
	}
	switch {
	case e.To == Waiting && e.From == Running && !t.learnsLate():
		t.park(g, e.Time, e.ToReason)
	case e.To == Syscall:
		t.startsReading(g)
	}
}

// name gives a goroutine the id that the runtime has given it after its creation.
func (g *Goroutine) name(goid uint64) {
	if g.GoID != 0 || goid == 0 {
		return
	}
	g.GoID = goid
	if g.Tree.Root == 0 {
		g.Tree.Root = goid
	}
	g.episode.ref = g.ref()
}

func (t *Tracker) learnsLate() bool { return t.places != nil && t.places.LateReasons() }

// endInterval adds the interval that an event ends to the episode that it belongs to. A wait at home belongs to none.
func (t *Tracker) endInterval(g *Goroutine, e *Event) {
	by := t.waker(e)
	if e.From == Waiting && e.Lost == 0 && !g.idle && t.learnsLate() {
		t.park(g, g.current.Start, e.FromReason)
	}
	if home := e.From == Waiting && e.Lost == 0; g.idle || home && g.atHome && g.isService() {
		if g.atHome {
			t.leave(g, g.current.Start)
		}
		g.atHome = false
		if home {
			by = t.afterReply(by, e.Time)
			if t.cameHome(g, e, by); !g.episode.carries {
				by.wakes(nil)
			}
			return
		}
		g.hasCurrent = false // its end was lost
		t.begin(g, max(e.Since, g.last.ended), nil, false, Exact)
	}
	g.atHome = false
	s := Interval{Start: e.Since, End: e.Time, State: e.From, Reason: e.FromReason}
	if s.State == Running || s.State == Syscall {
		s.TID = e.TID
	}
	if g.hasCurrent && g.current.State == s.State && e.Lost == 0 {
		s.Stack, s.Linked, s.Within = g.current.Stack, g.current.Linked, t.joined(g)
	}
	t.learnHandler(g, s.Stack)
	if waker := t.live[e.Waker]; by != nil && waker != nil && t.places != nil { // one that was omitted is not among those that live
		t.reply(waker, g, e)
		takes := t.handOver(waker, e, g)
		s.Linked = s.Linked || takes != by && waker.Follows // this one offered what begins that one's episode
		by = takes
	}
	if t.wokenBy(e) != 0 {
		if g.origin != by && !(t.places != nil && t.places.Locks(e.FromReason)) { // else it has only begun what it was created for
			by.wakes(g.at(e.Time))
		}
		if !g.Hidden {
			t.linkWait(&s, e, by)
		}
	}
	if s.State != Dead && g.add(s, t.limits) && s.Waker.Followed() && by.mayMove() {
		g.wakers = append(g.wakers, waker{s.End, by})
	}
}

// wokenBy returns the id of the goroutine that has ended a wait, 0 if none has. Of a wait for the network none has: who starts the world after a collection
// of garbage wakes all for which something has come meanwhile (startTheWorldWithSema in runtime/proc.go, Go 1.27).
func (t *Tracker) wokenBy(e *Event) uint64 {
	if t.places != nil && t.places.Reads(e.FromReason) {
		return 0
	}
	return e.WakerGoID
}

// waker returns the episode that has ended a wait, nil if it is not known.
func (t *Tracker) waker(e *Event) *episode {
	if t.wokenBy(e) == 0 || e.Waker == e.G {
		return nil
	}
	g, by := t.actor(e.Waker, e.WakerGoID, e.Time)
	switch {
	case g == nil:
		return t.omitted[e.Waker]
	case g.Hidden:
		return nil
	}
	return by
}

// end closes a goroutine at its exit. The source counted each interval, so a life told in one segment has exact totals even if
// events were lost.
func (t *Tracker) end(g *Goroutine, e *Event) {
	t.close(g, e.Time, Exit)
	whole := g
	if g.life != nil {
		whole = g.life
	}
	if whole.Segment == 0 && !g.Preexisting {
		whole.Totals = e.Totals
	}
}

// interrupt closes a goroutine of which nothing is known after a moment.
func (t *Tracker) interrupt(g *Goroutine, at int64, why Ending) {
	at = max(at, g.Start)
	t.confirmVisit(g)
	if g.hasCurrent && at > g.current.Start && !g.idle {
		g.addOpen(at, t.limits)
	}
	t.close(g, at, why)
}

// close ends a goroutine at a moment, with its life last.
func (t *Tracker) close(g *Goroutine, at int64, why Ending) {
	g.End, g.Ending = at, why
	if g.GoID == 0 {
		return
	}
	if g.life == nil {
		g.episode.ended = at
		if g.ParentGoID == 0 && !g.Preexisting && why == Exit { // a timer started it (time.AfterFunc)
			t.settleTrace(g, g.episode, false)
		}
		t.detach(g, g.episode, at)
		if !g.episode.untold && !t.neverMoved(g) {
			t.tell(g)
		}
		return
	}
	if !g.idle {
		g.episode.ended = at
		g.life.addTotals(g)
		t.settleTrace(g, g.episode, why == Exit)
		t.detach(g, g.episode, at)
		if !t.isFolded(g, g.episode, why == Exit) {
			t.tell(g)
		}
		g.episode.forget()
	}
	t.detachLife(g, at)
	life := g.life
	if life.last.untold || t.limits.Hide && life.Preexisting && life.Episodes == 0 && len(life.Intervals) == 0 {
		return // or it has never left its home
	}
	if g.idle && g.hasCurrent {
		t.addIdle(life, g.current, at)
	}
	t.endLife(life, at, why)
	t.tell(life)
}

// neverMoved tells whether a goroutine is to be left out because it is still in the wait in which it was found.
func (t *Tracker) neverMoved(g *Goroutine) bool {
	return t.limits.Hide && g.Preexisting && !g.changed && g.current.State == Waiting
}

// addOpen ends the open interval at a moment at which the goroutine did not change its state.
func (g *Goroutine) addOpen(at int64, limits Limits) {
	s := g.current
	s.End = at
	if s.State == Running {
		s.Within = nil // nobody has looked at its labels
	}
	g.add(s, limits)
}

// Interrupt ends all goroutines at a moment and returns what is over by that, of those whose id is known.
func (t *Tracker) Interrupt(at int64, why Ending) []*Goroutine {
	t.told = nil
	for _, g := range t.live {
		t.interrupt(g, at, why)
	}
	clear(t.live)
	return t.take()
}

// take returns what has been told, to be kept.
func (t *Tracker) take() []*Goroutine {
	told := t.told
	t.told = nil
	return told
}

// Segments returns what is to be told of goroutines whose segment has lasted long enough; they live on in their next. It tells of no more
// than a limit at once: those that began together come one after the other.
func (t *Tracker) Segments(now int64, limit int) []*Goroutine {
	t.told = nil
	for _, g := range t.live {
		if len(t.told) >= limit {
			break
		}
		t.detachLife(g, now)
		if t.isResting(g, now) {
			t.rest(g)
		}
		if g.GoID == 0 || g.idle || g.episode.untold || t.neverMoved(g) {
			continue
		}
		t.detach(g, g.episode, now)
		if now-g.Start >= int64(t.limits.Segment) || t.isOver(g.episode, now) {
			t.cut(g, now)
		}
	}
	return t.take()
}

// cut splits an episode at a moment, ends the first part and lets the second live.
func (t *Tracker) cut(g *Goroutine, now int64) {
	t.confirmVisit(g)
	if g.replied.at != 0 {
		t.split(g, g.replied.at)
	}
	t.detach(g, g.episode, now)
	segment := *g
	segment.habits = habits{}
	segment.addOpen(now, t.limits)
	segment.End, segment.Ending = now, SegmentEnd
	t.tell(&segment)
	g.Previous, g.Continues = segment.ref(), true
	g.Segment = g.nextSegment()
	switch e := g.episode; {
	case t.isOver(e, now):
		t.root(g, e)
		e.hasChildren, e.woke, e.wokeMore = false, nil, false
	case e.root == e && g.Joined == (SpanContext{}):
		g.Tree.Segment = g.Segment
		e.budget, e.episodes = t.newBudget(), 1
	}
	g.episode.ref = g.ref()
	g.budget.left--
	g.Start = now
	g.Intervals, g.Contexts, g.Lost, g.Helpers, g.Queued, g.folding = nil, nil, 0, 0, 0, folding{}
	g.Totals, g.Folded, g.Dropped, g.Unshown = [States]Total{}, [States]Total{}, [States]Total{}, nil
	g.wakers = nil
	g.current.Start = max(g.current.Start, now)
	if g.life != nil {
		g.life.addTotals(&segment)
		g.life.Episodes--
	}
}

// Final is a count of drained that tells Settle that no event is on its way.
const Final = math.MaxUint64

// Settle ends the goroutines that have exited without being seen to, because their last event was lost. fate tells of each
// whether it lives, and if not, when it exited, as far as that is known (else 0). The last event may also be on its way: a goroutine is
// ended only if it was found dead before, and since then, as drained counts, all events of before have come.
func (t *Tracker) Settle(drained uint64, fate func(g, goid uint64) (alive bool, exited int64)) []*Goroutine {
	t.told = nil
	for address, g := range t.live {
		if g.GoID == 0 {
			continue
		}
		alive, exited := fate(address, g.GoID)
		switch {
		case alive:
			g.foundDead = false
			continue
		case drained == Final:
		case !g.foundDead:
			g.foundDead, g.foundWhen = true, drained
			continue
		case g.foundWhen == drained:
			continue
		}
		delete(t.live, address)
		t.unseen(g, exited)
	}
	return t.take()
}

// unseen ends a goroutine whose exit was lost.
func (t *Tracker) unseen(g *Goroutine, exited int64) {
	g.Lost++
	// The interval that was open may have ended long before the exit: it is not told of.
	g.hasCurrent = false
	if exited >= g.current.Start {
		t.interrupt(g, exited, Exit)
	} else {
		t.interrupt(g, g.current.Start, Unseen)
	}
}
