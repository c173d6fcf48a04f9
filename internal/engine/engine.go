// Package engine is the seam between whoever sees goroutines change their state and the rest of the receiver, which knows nothing of
// uprobes, BPF or whatever else an engine uses. Package enginetest holds what each engine must do.
package engine

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// Engine follows the goroutines of processes. It is safe for concurrent use, with one goroutine that calls Next.
type Engine interface {
	// Attach prepares the executable file at path, which must lead there until the Attachment is closed, for following its processes. Its
	// error wraps ErrTooMany if there is no room for it now.
	Attach(b *goexe.Binary, path string, o AttachOptions) (Attachment, error)
	// Next reads the next event into e. It reports false if none has come until a time, or after Wake. Events of processes that change
	// rarely may wait until then.
	Next(e *lifecycle.Event, until time.Time) (bool, error)
	// Wake makes a Next that waits return.
	Wake()
	// Distributions reads those of all processes that are followed.
	Distributions() (Distributions, error)
	// Goroutines calls visit with each goroutine that lives, of all processes, but for those of the runtime itself. Those that change
	// meanwhile may be missed or seen twice.
	Goroutines(visit func(ID, waitstats.Goroutine)) error
	// Reject ends following a process that the engine has begun to follow by itself, as a ProcessFollowed event tells, and does not begin
	// again.
	Reject(pid int, id ID) error
	// Release ends following a process that the engine has begun to follow by itself; it may be followed in another way.
	Release(pid int, id ID) error
	// Memory returns how many bytes of memory outside of this process the engine takes.
	Memory() uint64
	// Close ends what is not closed and frees all. Attachments are closed before.
	Close() error
}

// AttachOptions say for whom an executable is prepared, and how.
type AttachOptions struct {
	// Trampolines prepares it for processes whose code is patched, where an engine has more than one way: nothing is done to a process before
	// Follow. What is wrong with the executable, the machine or the process for that is an error that wraps *Refusal, of Attach or of Follow.
	Trampolines bool
	// Syscalls includes what only sees system calls; where that costs extra, the engine leaves it out otherwise.
	Syscalls bool
	// PIDs are the only processes that it is done to; if there are none, all that run the file, now or later. Those that have ended are left
	// out; if all have, Attach's error wraps unix.ESRCH.
	PIDs []int
}

// Attachment is what an engine has put on one executable file, for all processes that run it or for given ones.
type Attachment interface {
	// Include adds a process to those that AttachOptions.PIDs names; it does nothing where these are all that run the file. Its error wraps
	// unix.ESRCH if the process has ended, ErrTooMany if there is no room for it now, and os.ErrClosed after Close.
	Include(pid int) error
	// Follow begins to follow the process pid, which runs the attachment's executable with all addresses bias higher than linked. Its error
	// wraps ErrFollowed if the engine follows it already.
	Follow(pid int, bias uint64, s Settings) (Process, error)
	// FollowNewcomers makes the engine follow each process that runs the executable by itself, from its next change of state on, in most
	// cases its first. A ProcessFollowed event tells of it, and Accept, Reject or Release says what becomes of it.
	FollowNewcomers(s Settings) error
	// IgnoreNewcomers ends what FollowNewcomers began.
	IgnoreNewcomers() error
	// Accept returns the process pid, which the engine has begun to follow by itself. Its error wraps ErrFollowed if it is followed as
	// another by now.
	Accept(pid int, id ID) (Process, error)
	// HitsOfOthers returns how often processes that were not followed then were slowed by what Attach has put on the executable, each time as
	// much as a followed one is, and followed ones after their last call of Counts. It tells the same for ever once Close has returned.
	HitsOfOthers() (uint64, error)
	// HitCost returns what it costs a process to have a change of state seen, as far as is known by now, after Close too.
	HitCost() Cost
	// Close takes all away that Attach has put on the executable. It may take tenths of a second, in which events go on.
	Close() error
}

// Process is one that is followed, from Follow or Accept until Unfollow. It is safe for concurrent use.
type Process interface {
	// ID names it among all that the engine follows. It may come again after Unfollow.
	ID() ID
	// Followed tells whether the process is still followed as this one, and not as another after an exec.
	Followed() bool
	// Counts reads the process's counts. With an error, it tells what it told last: nothing goes back.
	Counts() (lifecycle.Counts, error)
	// Distributions reads the process's own; of many processes, Engine.Distributions is faster.
	Distributions() (ProcessDistributions, error)
	// AsSeen returns the goroutine, which a look at the process's memory has found, as the engine would see it.
	AsSeen(g Goroutine) Goroutine
	// Adopt makes a goroutine known that existed before the process was followed. It reports false if the engine has come to know it
	// first. Its error wraps ErrTooMany if there is no room for it.
	Adopt(g Goroutine) (bool, error)
	// Repair puts right what the engine knows of the process's goroutines, after changes were missed, by those that live, as a look at its
	// memory found them that began at the time at, in ns of CLOCK_MONOTONIC. Those that the engine does not know it adopts. It returns how
	// many were wrong.
	Repair(at int64, living []Goroutine) (wrong int, err error)
	// Status tells of the goroutine that has g now: whether it still is the one with this id, and if not, when that one exited, in ns of
	// CLOCK_MONOTONIC, as far as the engine still knows (else 0).
	Status(g, goid uint64) (alive bool, exited int64)
	// Throttle leaves out a share, from 0 to 1, of the trees that would be sampled of those that begin from now on.
	Throttle(share float64) error
	// Unfollow forgets the process and all that is known of its goroutines. From then on, errors of Adopt, Repair and Throttle wrap os.ErrClosed, and
	// Counts tells what it told last.
	Unfollow() error
}

// ItemFollower is a Process that can tell of what goes through the buffers of channels.
type ItemFollower interface {
	// FollowItems has events Sent and Received tell of each item that is put into the buffer of a channel, of which the address and the size of the
	// buffer are known, or taken out of it. It returns from when on they do, in ns of CLOCK_MONOTONIC, or 0 if that is not possible.
	// Events Missed tell where some were missed, and if it has ended by itself.
	FollowItems(address, size uint64) (since int64)
	// LeaveItems ends what FollowItems began.
	LeaveItems(address uint64)
}

// EventPauser is a Process to which changes of state cost less while no events are made of them.
type EventPauser interface {
	// PauseEvents has events only tell of beginnings and ends of goroutines, and no tree be sampled that begins, or again of all. Those of the
	// goroutines that are sampled already tell that some are missing.
	PauseEvents(paused bool)
}

// Settled is for how long a goroutine must have been in a state, in ns, for Process.Repair to believe that its end was missed: a look at the
// memory and what is known are not of one moment.
const Settled = 50e6

// ID names a process among those that an engine follows.
type ID uint32

// Goroutine is one that a look at a process's memory has found.
type Goroutine struct {
	// G is the address of the runtime.g.
	G, GoID uint64
	State   lifecycle.State
	// Reason is the value of g.waitreason, meaningful with Waiting.
	Reason uint8
	// Since is when it was found, in ns of CLOCK_MONOTONIC.
	Since           int64
	System, Sampled bool
	// StartPC is where the function begins that it runs, CreationPC the address behind the go statement that created it.
	StartPC, CreationPC uint64
}

// Cost is the processor time that a change of state costs a process for being seen.
type Cost struct {
	// Usual is what it costs in a program that does other things between two changes, Most what it costs in one whose caches that leaves
	// cold.
	Usual, Most time.Duration
}

// Distributions are those of all processes at one time.
type Distributions map[ID]ProcessDistributions

// ProcessDistributions are those of one process.
type ProcessDistributions struct {
	Histograms map[lifecycle.HistogramKey]*lifecycle.Histogram
	// Functions are the lives by the address of the function that goroutines begin in, nil if they are not counted.
	Functions map[uint64]lifecycle.Lives
	// Runs is for how long goroutines ran, until they last stopped, by the address of the function that they begin in, in ns; nil if that is not
	// added up. System is the same of those of the runtime itself, and always is.
	Runs, System map[uint64]uint64
	// Lines is how long all goroutines have waited where, of waits that have ended, in ns; nil if the engine knows that of sampled ones only.
	Lines map[lifecycle.Line]uint64
}
