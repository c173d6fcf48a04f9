package lifecycle

// Interval is a time that a goroutine spends in one state without a change, or without one that is worth telling of, in ns of CLOCK_MONOTONIC.
type Interval struct {
	Start, End int64
	State      State
	// Reason is the value of g.waitreason, meaningful with Waiting.
	Reason uint8
	// TID is the thread that ran the goroutine, with Running and Syscall.
	TID int
	// Waker is the goroutine that ended the interval by making this one runnable, with Waiting; zero if none did.
	Waker Ref
	// Stack is where the goroutine blocked, with Waiting and Syscall, nil if not known.
	Stack *Stack
	// Joined is how many later intervals at the same place are one with this; Between is the time in ns between them, which the goroutine spent in
	// short intervals of other states.
	Joined  uint32
	Between int64
	// Within is the program's own span for which the goroutine worked from the beginning to the end, nil if it is the one for which it was created, or
	// none is known.
	Within *SpanContext
	// Linked tells that a link leads here: the goroutine woke another that had waited.
	Linked bool
}

// Stack is where in its program a goroutine is. Equal stacks of one process are mostly one Stack.
type Stack struct {
	// PCs are return addresses, innermost first.
	PCs []uint64
}

// Ref names a segment of another goroutine's life. Zero is none; of a goroutine that is not followed, only GoID is set.
type Ref struct {
	GoID uint64
	// StartPC is where the goroutine starts, 0 if that is not known.
	StartPC uint64
	Segment int
	Tree    Tree
}

// Followed tells whether the goroutine is followed.
func (r Ref) Followed() bool { return r.Tree.Root != 0 }

// Tree names a tree of goroutines: by the goroutine at its root and the segment of that one's life in which it began.
type Tree struct {
	Root    uint64
	Segment int
	// Joined is the program's own trace that the tree belongs to; then Segment is 0. It is zero for a tree that is a trace of its own.
	Joined [16]byte
}

// WaitTotal is how often and how long a goroutine waited for a reason.
type WaitTotal struct {
	Reason uint8
	Total
}

// Ending says why a Goroutine ends where it does.
type Ending uint8

const (
	// Exit is the goroutine's own exit.
	Exit Ending = iota
	// ProcessExit is the end of the process.
	ProcessExit
	// SegmentEnd is the end of a part of a life that goes on.
	SegmentEnd
	// Unfollowed means that the goroutine lived, but was followed no longer.
	Unfollowed
	// AtHome is the end of an episode: the goroutine waits for its next piece of work.
	AtHome
	// Unseen means that the goroutine exited at a later time, which was lost.
	Unseen
)

func (e Ending) String() string {
	return [...]string{"exit", "process_exit", "segment", "unfollowed", "home", "unseen"}[e]
}

// Goroutine is one goroutine's life, or a segment of it. That of a goroutine that does one piece of work after the other, and waits for the next
// at home, is told in episodes, and what there is beside them as the life.
type Goroutine struct {
	G, GoID, ParentGoID uint64
	Tree                Tree
	// Parent is the creator's segment that created this goroutine, zero if the creator is not followed; of an episode, the segment that caused it.
	Parent Ref
	// Follows tells that the tree begins here although Parent is set: the goroutine is not, or may not be, a part of that one's work.
	Follows bool
	// Cause says what is known of an episode's cause; it is NoEpisode of what is none. Waker is the id of the goroutine that ended the wait before
	// it, 0 if none did. Life is the life that it belongs to.
	Cause Cause
	Waker uint64
	Life  Ref
	// BegunBy is what has begun the episode, or the goroutine: the network, a goroutine through a channel, a timer; Elsewhere stands for others.
	// Handler is what serves the request, if it is one.
	BegunBy Source
	Handler Handler
	// Queued is for how many ns what the episode works on had been in the buffer of a channel, 0 if it was in none or that is not known.
	Queued int64
	// Loop is the function that does its pieces of work, where that it was started for only calls it, and its home is known; empty else.
	Loop string
	// Episodes is how many episodes a life has.
	Episodes uint32
	// Continues tells that the segment goes on where the one before ended.
	Continues bool
	// Previous is the segment before, if Continues is set.
	Previous Ref
	// Outlives tells that the goroutine has a trace of its own because it goes on for long after that of its creator has ended.
	Outlives bool
	// Joined is the program's own span that the goroutine belongs to, zero if it is not joined to one.
	Joined SpanContext
	// Contexts are the program's own spans for which the goroutine worked in the segment, in the order in which it began to.
	Contexts []SpanContext
	// System and Preexisting are as in Event. Hidden is one of which nothing is told, as it only hides what others do: the runtime's own, and
	// helpers of libraries. Helpers is how many of these the goroutine has created.
	System, Preexisting, Hidden bool
	Helpers                     uint32
	StartPC, CreationPC         uint64
	// Creator is where the goroutine that created this one was then, from CreationPC on, nil if that is not known.
	Creator *Stack

	// Segment numbers the parts in which a long life is told: from 0, or of a preexisting goroutine from the µs of CLOCK_MONOTONIC at which it was
	// found, so that no number is given twice although it may have been followed before. Start and End are the segment's, in ns of
	// CLOCK_MONOTONIC.
	Segment    int
	Start, End int64
	// Ending says what End is.
	Ending Ending
	// Lifetime is how long the life, or the segment, was in ns, if it was at home since End; else 0. Then Ending says how it ended.
	Lifetime int64

	// Intervals are those of the segment in the order of time, clipped to the segment; a gap is an interval that nothing is known of.
	Intervals []Interval
	// Folded are intervals that were left out because they are short, Dropped those for which there was no room. Intervals, Folded and Dropped
	// together are all that is known of the segment.
	Folded, Dropped [States]Total
	// Unshown are the waits among the folded and dropped, by the value of g.waitreason.
	Unshown []WaitTotal
	// Lost is how many events were lost.
	Lost uint32
	// InTrace is how many goroutines, or pieces of their work, the trace had by then that begins with this one; 0 if it does not.
	InTrace uint32
	// Omitted is how many goroutines of the tree were left out by the settings since another of the tree has told so.
	Omitted uint32
	// Totals are over the segment.
	Totals [States]Total

	first      int      // the number of the first segment
	newest     int      // the highest that was given
	current    Interval // the open interval; its End is not known yet
	hasCurrent bool
	changed    bool // since it was found
	inherited  SpanContext
	carried    *SpanContext // the span that its labels named when it was last off its thread
	budget     *traceBudget
	folding    folding

	// episode is the one that the goroutine is in, last the one before, origin that of the creator; life is what it was until it was at home for
	// the first time, nil before.
	episode, last, origin *episode
	life                  *Goroutine
	idle                  bool // it waits at home
	atHome                bool // it does, if the episode that created it is over when that ends
	habits                habits
	home                  Place
	inlet                 inlet // at home
	busy                  bool  // it has waited, or called the kernel, in the episode
	reads                 bool  // it is in a call that reads at home
	visited               visit
	replied               reply // last, in the episode
	wakers                []waker

	foundDead bool   // by Settle
	foundWhen uint64 // the count of drained at which it was
}

// Ordinal is how many parts of the goroutine's life were told of before this one, since it was created or found.
func (g *Goroutine) Ordinal() int { return g.Segment - g.first }

// nextSegment returns a number that no segment of the goroutine has.
func (g *Goroutine) nextSegment() int {
	g.newest++
	return g.newest
}

// continues tells whether another interval is the same one, of which the source took the end back.
func (s Interval) continues(with Interval) bool {
	return s.End == with.Start && s.State == with.State && s.TID == with.TID && s.State == Running && within(s.Within, with.Within)
}

// Stack returns where the goroutine blocks now, nil if that is not known.
func (g *Goroutine) Stack() *Stack { return g.current.Stack }

// waker is an episode that has ended an interval at a time, or what was before the segment, and of which it is not yet known to which trace it belongs.
type waker struct {
	at      int64
	episode *episode
}

// add appends an interval that has ended, within the segment. It tells whether that is kept as one of its own.
func (g *Goroutine) add(s Interval, limits Limits) bool {
	s.Start = max(s.Start, g.Start)
	if s.End <= s.Start || g.Hidden {
		return false
	}
	g.busy = g.busy || s.State == Waiting || s.State == Syscall
	g.Totals[s.State].Nanoseconds += uint64(s.End - s.Start)
	if n := len(g.Intervals); n > 0 && g.Intervals[n-1].continues(s) {
		g.Intervals[n-1].End = s.End
		g.Intervals[n-1].Linked = g.Intervals[n-1].Linked || s.Linked
		return false
	}
	g.Totals[s.State].Count++
	g.budget.left--
	g.Intervals = append(g.Intervals, s)
	if g.isFoldDue() && !g.visited.pending() && g.replied.at == 0 {
		g.fold(limits)
	}
	return true
}
