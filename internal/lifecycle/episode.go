package lifecycle

import (
	"cmp"
	"time"
)

// Cause says how far it is known what an episode was done for.
type Cause uint8

const (
	// NoEpisode is of a goroutine's life itself.
	NoEpisode Cause = iota
	// Exact means that what began the episode is known: its parent, or the network or a timer.
	Exact
	// Assumed means that its parent is not certain.
	Assumed
	// Unknown means that other work than what woke the goroutine may have been done too, or instead.
	Unknown
)

func (c Cause) String() string { return [...]string{"", "exact", "assumed", "unknown"}[c] }

// part is what an episode is to the work that is done meanwhile.
type part uint8

const (
	// work is what a trace tells of.
	work part = iota
	// startUp is what the main goroutine does until it serves, and what it creates meanwhile.
	startUp
	// found is what a goroutine did that was there before, or does after it has rested, until it is at home: nobody knows for whom.
	found
	// carrying is what a goroutine does for a connection, and for no piece of work as far as is known: it accepts it, or carries what others read
	// and write. It is told of in sums only, and no link leads to it.
	carrying
)

// episode is a piece of a goroutine's life, from one wait at home to the next; of one that has no home, all of it.
type episode struct {
	ref          Ref
	begun, ended int64 // ns of CLOCK_MONOTONIC; ended is 0 while it goes on
	part         part
	root         *episode // with which its trace begins
	budget       traceBudget
	episodes     int // of the trace that begins with it
	// brought tells that another goroutine has begun it, and not the network or a timer, carries that it is one of a goroutine that only carries what
	// others read and write.
	brought, carries bool
	// early tells that it began a goroutine at start-up, or one that was there before, or one that such a one created.
	early bool
	// untold tells that nothing of its trace is handed on, hidden that it is that of a goroutine of which nothing is told, on behalf of serves.
	untold, hidden bool
	serves         *episode
	// outside is the budget of the trace that it would belong to if that had room; then it is untold, and so is all that belongs to it.
	outside *traceBudget
	// Until it ends: whether it has created goroutines that are its children, or others, and whom it has woken elsewhere than at home. If that
	// was more than one episode, or a goroutine at home, wokeMore is set.
	hasChildren, created, wokeMore bool
	woke                           *episode
	// mixed tells that it may be of several pieces of work, of which others may tell only by waiting for an answer; bringer is who gave it the first, if
	// that is known, replier its goroutine when it has answered.
	mixed   bool
	bringer *episode
	replier *Goroutine
	// moved tells that it has turned out at its end to which trace it belongs, or that none tells of it.
	moved bool
}

// startUpLasts is how long a goroutine that has been created at start-up owns what it creates.
const startUpLasts = int64(5 * time.Second)

// slack is by how much two processors' notes of the same moment may differ.
const slack = int64(2 * time.Microsecond)

// forget lets go of other episodes when all is decided that depends on them: one that is remembered for long must not keep all that came
// after it.
func (e *episode) forget() { e.woke, e.serves, e.bringer, e.replier = nil, nil, nil, nil }

// mayOwn tells whether an episode may have a child that begins at a time.
func (t *Tracker) mayOwn(e *episode, at int64) bool {
	if e == nil || e.part == found || e.part == carrying || e.part == startUp && at-e.begun > startUpLasts {
		return false
	}
	return e.root.ended == 0 || at-e.root.ended <= int64(t.limits.Outlives)
}

// enter gives a goroutine an episode that begins at a time, as a child of another, or with a trace of its own if parent is nil.
func (t *Tracker) enter(g *Goroutine, at int64, parent *episode) *episode {
	e := &episode{begun: at}
	e.root = e
	g.Tree = Tree{Root: g.GoID, Segment: g.Segment}
	if parent != nil {
		parent.hasChildren = true
		e.root, e.untold = parent.root, parent.untold
		if e.root.outside != nil {
			e.root.outside.omitted++
		}
		g.Tree, g.Parent, g.Follows = parent.ref.Tree, parent.ref, false
	} else {
		e.budget = t.newBudget()
	}
	e.root.episodes++
	g.budget = &e.root.budget
	g.budget.left--
	g.episode, g.idle, g.busy = e, false, false
	e.ref = g.ref()
	return e
}

// at returns the episode that a goroutine was in at a time, nil if it was in none.
func (g *Goroutine) at(when int64) *episode {
	if e := g.episode; e != nil && when >= e.begun-slack {
		return e
	}
	if e := g.last; e != nil && when <= e.ended+slack {
		return e
	}
	return nil
}

// actor returns the goroutine that did something at a time, and in which episode; nil if it is not followed.
func (t *Tracker) actor(address, goid uint64, when int64) (*Goroutine, *episode) {
	g := t.live[address]
	if g == nil || goid != 0 && g.GoID != goid {
		return nil, nil
	}
	t.confirmVisit(g)
	return g, g.at(when)
}

// seen returns the episode that is told of instead of a hidden one, nil if there is none.
func (e *episode) seen() *episode {
	for e != nil && e.hidden {
		e = e.serves
	}
	return e
}

// isService tells whether a goroutine serves whoever comes, and not only the episode that created it.
func (g *Goroutine) isService() bool {
	o := g.origin
	return g.life != nil || o == nil || o.part != work || o.ended != 0
}

// park takes the beginning of a wait: if that is at home, an episode ends.
func (t *Tracker) park(g *Goroutine, at int64, reason uint8) {
	g.atHome = false
	if g.System || g.Hidden || t.places == nil {
		return
	}
	place := t.places.Wait(g.StartPC, reason, g.current.Stack)
	if !t.isHome(g, place) {
		t.confirmVisit(g)
		return
	}
	if place.Source == Network {
		g.visited = visit{} // there was nothing to read
	}
	t.confirmVisit(g)
	if place.Key != g.home.Key {
		g.inlet = inlet{changes: g.inlet.changes + 1}
	}
	g.home = place
	if place.Listed || place.Accepts || g.isService() {
		t.leave(g, at)
	} else {
		g.atHome = true
		t.ask(g)
	}
}

// isHome tells whether a goroutine waits at home.
func (t *Tracker) isHome(g *Goroutine, p Place) bool {
	switch {
	case p.Key == 0:
		g.habits.began = true
		return false
	case p.Accepts:
		return true
	case p.Listed:
		return p.Home && (!p.Opening || g.life == nil)
	case t.places.Role(g.StartPC) == Main && !(p.Own && p.Select): // it waits for the end, or for what it has started
		return false
	}
	return g.habits.visit(p, t.places.Start(g.StartPC), t.homes)
}

// leave ends a goroutine's episode, for a wait at home.
func (t *Tracker) leave(g *Goroutine, at int64) {
	e := g.episode
	e.ended = at
	g.last, g.episode, g.idle = e, nil, true
	t.ask(g)
	if g.life == nil {
		g.beginLife()
		e.forget()
		return
	}
	g.life.addTotals(g)
	t.settleTrace(g, e, false)
	t.detach(g, e, at)
	if !t.isFolded(g, e, false) {
		told := t.blank()
		spare := told.Intervals[:0]
		*told = *g
		g.wakers = nil
		told.habits = habits{}
		told.End, told.Ending = at, AtHome
		told.life, g.Intervals, g.Contexts, g.Unshown = nil, spare, nil, nil
		t.tell(told)
	}
	e.forget()
	g.reset()
}

// beginLife makes what there is of a goroutine its life, which is told of at its end, apart from its episodes.
func (g *Goroutine) beginLife() {
	g.Loop = g.home.Loop
	life := *g
	life.habits = habits{}
	g.life = &life
	g.Intervals, g.Contexts, g.Unshown, g.wakers = nil, nil, nil, nil
	g.reset()
}

// lifeRef names the life of a goroutine that has been at home.
func (g *Goroutine) lifeRef() Ref { return g.life.last.refOr(g.GoID) }

// reset forgets what was seen of a goroutine until now.
func (g *Goroutine) reset() {
	g.Intervals, g.Contexts, g.Lost, g.Helpers, g.Queued, g.folding = g.Intervals[:0], g.Contexts[:0], 0, 0, 0, folding{}
	g.Totals, g.Folded, g.Dropped, g.Unshown = [States]Total{}, [States]Total{}, [States]Total{}, g.Unshown[:0]
	g.wakers, g.replied = g.wakers[:0], reply{}
}

// addTotals adds what a part of the life was.
func (g *Goroutine) addTotals(of *Goroutine) {
	g.Episodes++
	for s := range g.Totals {
		g.Totals[s].Count += of.Totals[s].Count
		g.Totals[s].Nanoseconds += of.Totals[s].Nanoseconds
	}
}

// cameHome takes the end of a wait at home: an episode begins. by is the episode that has woken the goroutine, if one has.
func (t *Tracker) cameHome(g *Goroutine, e *Event, by *episode) {
	t.detachLife(g, e.Time)
	wait, id := g.current, t.wokenBy(e)
	wait.Waker = by.refOr(id)
	t.addIdle(g.life, wait, e.Time)
	brought := id != 0
	if brought {
		g.inlet.cameBy(e.Channel, e.BufferSize, g.home.Select)
	}
	cause := Exact
	if g.home.Key == 0 || brought && !g.isDirect(e.Time) {
		cause = Unknown
	}
	t.begin(g, e.Time, by, brought, cause)
	if g.home.Channels && g.episode.mixed {
		g.episode.bringer = by
	}
	t.linkEpisode(g, e, by)
	g.Waker = id
}

// refOr returns what names an episode, or only the goroutine if it is not known, or nothing is told of it.
func (e *episode) refOr(goid uint64) Ref {
	switch {
	case e == nil:
		return Ref{GoID: goid}
	case e.untold:
		return Ref{GoID: goid, StartPC: e.ref.StartPC}
	}
	return e.ref
}

// begin begins an episode. If another goroutine has brought the work, it is a part of by's work, unless it may be another's too.
func (t *Tracker) begin(g *Goroutine, at int64, by *episode, brought bool, cause Cause) {
	t.detachLife(g, at)
	g.Segment = g.nextSegment()
	g.Start, g.Ending, g.Waker = at, Exit, 0
	g.Joined, g.Parent, g.Previous = SpanContext{}, Ref{}, Ref{}
	g.Follows, g.Continues, g.Outlives = false, false, false
	g.Life, g.Loop = g.lifeRef(), g.home.Loop
	g.Cause, g.Handler, g.BegunBy = cause, Handler{}, g.home.Source
	if brought != (g.home.Source == Channel) {
		g.BegunBy = Elsewhere
	}
	parent := t.parentOf(g, at, by, cause)
	var full *traceBudget
	if parent != nil {
		if full = parent.fullTrace(); full != nil {
			parent = nil
		} else {
			parent.root.budget.pieces--
		}
	}
	e := t.enter(g, at, parent)
	e.brought, e.carries = brought, g.home.Carries && t.limits.Hide
	e.mixed = g.home.Source == Channel && !g.home.Listed && !g.home.Carries && (cause == Unknown || !g.isDirect(at))
	if full != nil {
		e.leaveOut(full)
	}
	if parent == nil && by != nil {
		g.Parent, g.Follows = by.refOr(by.ref.GoID), true
	}
	if parent == nil && t.withheld {
		e.untold = true
	}
	switch {
	case g.home.Accepts || e.carries && brought && parent == nil:
		e.part, e.ref = carrying, g.Life
	case g.home.Key == 0: // it only rested
		e.part = found
	}
}

// parentOf returns the episode of which another is a part that it has begun, nil if that may be another's too, or nobody's.
func (t *Tracker) parentOf(g *Goroutine, at int64, by *episode, cause Cause) *episode {
	switch {
	case cause == Unknown, by == nil, by.part != work, by == g.last, !t.mayOwn(by, at):
		return nil
	case g.home.Carries && by.onlyReads(): // a writer answers what only concerns the connection
		return nil
	}
	return by
}

// onlyReads tells whether an episode is what the network has brought to a goroutine that carries it to others.
func (e *episode) onlyReads() bool { return e.carries && e.root == e && !e.brought }

// learnHandler looks where a state was for what serves the request.
func (t *Tracker) learnHandler(g *Goroutine, at *Stack) {
	if at == nil || t.places == nil || g.Hidden {
		return
	}
	if h := t.places.Handler(g.StartPC, at); h.Depth > g.Handler.Depth {
		g.Handler = h
	}
}

// wakes remembers that an episode has woken a goroutine, which was in another one, or at home. To whom one replies that may be of several pieces of
// work is remembered elsewhere.
func (e *episode) wakes(other *episode) {
	switch {
	case e == nil, e.ended != 0, e.outside != nil, e.mixed && other != nil:
	case other == nil || e.woke != nil && e.woke != other:
		e.wokeMore = true
	default:
		e.woke = other
	}
}

// handOver begins an episode of a goroutine that ends another one's wait to send by taking that from the channel for which it waits at home: that
// one's work begins, if it is not a part of what it does already. It returns the episode that the goroutine is in then.
func (t *Tracker) handOver(g *Goroutine, e *Event, sender *Goroutine) *episode {
	from, at := sender.at(e.Time), e.Time
	if g.life == nil || g.episode == nil || !g.home.Channels || from == nil || from.root == g.episode.root || at <= g.Start {
		return g.at(at)
	}
	cause := t.causeOfTaking(g, e)
	if cause == NoEpisode {
		return g.at(at)
	}
	t.beginTaken(g, at, from, cause)
	return g.episode
}

// beginTaken begins an episode of a goroutine that goes on with what it has just taken.
func (t *Tracker) beginTaken(g *Goroutine, at int64, from *episode, cause Cause) {
	g.addOpen(at, t.limits)
	t.leave(g, at)
	t.begin(g, at, from, true, cause)
	if !g.episode.carries {
		from.wakes(nil)
	}
	g.current.Start = max(g.current.Start, at)
}

// causeOfTaking tells what is known of what a goroutine does that has ended another one's wait: NoEpisode if it has not taken any work by that. From a
// full buffer it takes what somebody has sent before. In a select the other one may have waited for something else than to send.
func (t *Tracker) causeOfTaking(g *Goroutine, e *Event) Cause {
	maySend, sends := t.places.Sends(e.FromReason)
	mayTake, takes := g.inlet.takes(e.Channel)
	switch {
	case !maySend || !mayTake || !sends && !takes, takes && g.inlet.find(e.Channel).isTold(e.Time): // Received tells of it
		return NoEpisode
	case !takes || e.BufferSize != 0 || !g.isDirect(e.Time):
		return Unknown
	case !sends:
		return Assumed
	}
	return Exact
}

// settleTrace decides at the end of an episode that the network or a timer began whether it only brought another one what that waited for.
func (t *Tracker) settleTrace(g *Goroutine, e *episode, exits bool) {
	if e.mixed {
		t.settleReply(g, e)
		return
	}
	to := e.woke
	if exits || e.root != e || e.brought || g.home.Listed && !e.carries || e.created || e.hasChildren || e.wokeMore || to == nil || to.part != work || to.begun > e.begun {
		return
	}
	if t.move(g, e, to) {
		g.BegunBy = Elsewhere
	}
}

// move makes an episode that has a trace of its own a child of another one, and reports whether it has.
func (t *Tracker) move(g *Goroutine, e, to *episode) bool {
	if e.untold || to.untold || !t.mayOwn(to, e.begun) {
		return false
	}
	if full := to.fullTrace(); full != nil {
		e.leaveOut(full)
		return false
	}
	to.root.episodes++
	to.root.budget.left -= 1 + len(g.Intervals)
	to.root.budget.pieces--
	g.Tree, g.Parent, g.Follows, g.budget = to.ref.Tree, to.ref, false, &to.root.budget
	e.root, e.ref.Tree, e.moved = to.root, to.ref.Tree, true
	to.hasChildren = true
	return true
}

// isAlone tells whether nothing else belongs to an episode so far, neither what it is a part of nor what is a part of it, nor has it woken anybody.
func (e *episode) isAlone() bool {
	return e.root == e && !e.hasChildren && e.woke == nil && !e.wokeMore
}

// isFolded tells whether nothing is told of an episode: it accepted a connection, or began with the network and only started goroutines that
// have traces of their own, or carried what concerns the connection alone, or closed that.
func (t *Tracker) isFolded(g *Goroutine, e *episode, exits bool) bool {
	if e.untold || e.part == carrying {
		return true
	}
	if e.brought || !e.isAlone() || !e.created && !e.carries && !(exits && g.home.Source == Network) {
		return false
	}
	e.part, e.ref, e.moved = carrying, g.lifeRef(), true
	return true
}

// Lasting names the span in which an interval will be that began at a time and has just ended: the episode's if it is certain that there will be
// one, else that of the life. It is zero if there will be none.
func (g *Goroutine) Lasting(since int64) Ref {
	e := g.episode
	if e == nil {
		e = g.last
	}
	switch {
	case g.life == nil && e != nil && e.untold:
		return Ref{}
	case g.life == nil:
		return g.ref()
	case e == nil || e.untold || since < g.Start || e.part == carrying || e.mayBeCut() || e.root == e && !e.brought && !e.hasChildren && !e.wokeMore:
		return g.lifeRef()
	}
	return g.ref()
}

// tell hands on what is over.
func (t *Tracker) tell(g *Goroutine) {
	g.fold(t.limits)
	for _, w := range g.wakers {
		t.decide(w.episode)
		if !w.episode.moved && !w.episode.untold {
			continue
		}
		now := w.episode.refOr(w.episode.ref.GoID)
		if w.episode.part == carrying {
			now = now.unlinked()
		}
		if i, kept := g.endedAt(w.at); kept {
			g.Intervals[i].Waker = now
		} else if w.at == g.Start && g.Follows {
			g.Parent = now
		}
	}
	g.wakers = g.wakers[:0]
	switch e := cmp.Or(g.episode, g.last); {
	case e.root == e:
		g.InTrace, g.Omitted = uint32(e.episodes), g.budget.tell()
	case e.root.ended != 0:
		g.Omitted = g.budget.tell()
	}
	t.told = append(t.told, g)
}
