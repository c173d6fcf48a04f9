// Package lifecycle follows goroutines from creation to exit: what a source of state changes tells, and the state machine that makes
// goroutines with their intervals of time of them. It knows nothing of where the events come from.
package lifecycle

// State is where a goroutine is; it gathers the statuses of the Go runtime (runtime/runtime2.go).
type State uint8

const (
	// Dead is not yet created or exited.
	Dead State = iota
	// Runnable is ready to run, without a thread.
	Runnable
	// Running is on a thread.
	Running
	// Syscall is in a system call or in C.
	Syscall
	// Waiting is blocked in the runtime, for a reason.
	Waiting
	// States is how many there are.
	States
)

func (s State) String() string {
	if s >= States {
		return "unknown"
	}
	return [States]string{"dead", "runnable", "running", "syscall", "waiting"}[s]
}

// Kind tells what an Event is about.
type Kind uint8

const (
	// Transition is a change of a living goroutine's state.
	Transition Kind = iota + 1
	// Created is the first that is told of a goroutine.
	Created
	// Exited is the last.
	Exited
	// ProcessExecuted is the start of a program in a process; only Time and PID are set.
	ProcessExecuted
	// ProcessExited is the end of a process; only Time and PID are set.
	ProcessExited
	// ProcessFollowed is the first change of state in a process that the source follows by itself; Time and PID are set, and G is what the
	// source knows it by.
	ProcessFollowed
	// Labelled is no change of state: the goroutine carries another SpanContext than before. It inherits it if From is Dead, and is created
	// by the next event.
	Labelled
	// Sent is no change of state: the goroutine has put an Item into the buffer of a Channel. Received is that it takes it out.
	Sent
	Received
	// Missed is no change of state: up to now, items of a Channel, or of any if that is 0, were not told of. They are from Since on, or not any more if that
	// is 0.
	Missed
)

// IsChange tells whether a goroutine changes its state.
func (k Kind) IsChange() bool { return k == Transition || k == Created || k == Exited }

// Total is how often and how long a goroutine was in a state.
type Total struct {
	Count       uint32
	Nanoseconds uint64
}

// Event is a change of a goroutine's state. Times are in ns of CLOCK_MONOTONIC.
type Event struct {
	Kind Kind
	// Time is when it happened, Since when the state From began.
	Time, Since int64
	PID, TID    int
	// G is the address of the runtime.g, which is unique among the living.
	G uint64
	// GoID is the goroutine's id, 0 while it is not known.
	GoID     uint64
	From, To State
	// Waker is the g of the goroutine that made this one runnable, WakerGoID its id; 0 if no goroutine did, but a timer or the network.
	Waker, WakerGoID uint64
	// Channel is the address of the runtime.hchan by which a goroutine was made runnable that waited for a channel or in a select, 0 if that is not
	// known, and BufferSize how many items its buffer can hold.
	Channel, BufferSize uint64
	// Item names, with Sent and Received, what was sent; 0 if it is not known who has.
	Item uint64
	// FromReason and ToReason are values of g.waitreason, meaningful with Waiting.
	FromReason, ToReason uint8
	// Lost is how many events of this goroutine were lost just before this one.
	Lost uint32
	// System is a goroutine of the runtime itself, Preexisting one that was there before it was observed, Root one that no sampled
	// creator decided about.
	System, Preexisting, Root bool

	// With Created: the creator (0 if none or not known), and where the goroutine starts and was created.
	Parent, ParentGoID, StartPC, CreationPC uint64
	// CreatorStack holds the return addresses of the creator, innermost first, from CreationPC on, as far as the source looks; none if that is not
	// known. It is valid until the next event is read.
	CreatorStack []uint64

	// Stack holds return addresses of the goroutine, innermost first, with a Transition that blocks it, as far as the source looks. It is
	// valid until the next event is read.
	Stack []uint64

	// Context is what a Labelled goroutine carries, zero if its labels name no span any more.
	Context SpanContext
	// Labelled tells, of a goroutine that has run, that it has the labels that the last event of the kind Labelled told of.
	Labelled bool

	// Totals are over the whole life, with Exited.
	Totals [States]Total
}

// SpanContext names a span of the program's own traces; zero is none.
type SpanContext struct {
	TraceID [16]byte
	SpanID  [8]byte
}

// Counts are the exact figures of one process, over all its goroutines but the runtime's own.
type Counts struct {
	// Live is how many goroutines are in each state.
	Live [States]int64
	// Time is the ns spent in each state, by all goroutines together, until the counts were read.
	Time [States]uint64
	// Created and Exited are how many have been.
	Created, Exited uint64
	// Transitions is how many changes were seen; Repeats were told twice, before Resynchronized one was missed.
	Transitions, Repeats, Resynchronized uint64
	// Ignored is how many hits of the probes changed no state.
	Ignored uint64
	// EventsLost, Untracked and BucketsLost are events, goroutines and durations that there was no room for, TreesWithheld those that
	// would have been sampled if a limit allowed it.
	EventsLost, Untracked, BucketsLost, TreesWithheld uint64
	// LabelsMissed is how many goroutines have exited with labels that could not be read in time.
	LabelsMissed uint64
}

// Hits returns how often probes were hit.
func (n *Counts) Hits() uint64 { return n.Transitions + n.Repeats + n.Ignored }

// Lives are how many goroutines have been created and have exited.
type Lives struct {
	Created, Exited uint64
}

// HistogramKind names the distributions of one process.
type HistogramKind uint8

const (
	// Lifetime is from creation to exit.
	Lifetime HistogramKind = iota
	// Schedule is an interval runnable before running.
	Schedule
	// Run is an interval on a thread.
	Run
	// SyscallTime is an interval in a system call.
	SyscallTime
	// Wait is an interval of waiting, for each reason.
	Wait
)

// HistogramKey names one distribution; Reason is 0 but for Wait.
type HistogramKey struct {
	Kind   HistogramKind
	Reason uint8
}

// Histogram is an exponential histogram of durations with the buckets of package buckets.
type Histogram struct {
	// Buckets maps indexes of package buckets' tables to counts.
	Buckets map[int]uint64
	Count   uint64
	// Sum is in ns.
	Sum uint64
}
