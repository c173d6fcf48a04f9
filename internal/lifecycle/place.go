package lifecycle

// Source is what ends a wait, as far as the reason to wait tells.
type Source uint8

const (
	// Elsewhere is whatever brings no work: mutexes, collections of garbage, sends.
	Elsewhere Source = iota
	// Channel is another goroutine that has something: by a channel, a select or a sync.Cond.
	Channel
	// Network is a file descriptor that can be read.
	Network
	// Timer is the end of a sleep.
	Timer
)

// Place is what is known of where a goroutine waits, or reads.
type Place struct {
	// Key names the reason to wait and the call path, the same in all processes of an executable; 0 if the call path is not known to its end.
	Key uint64
	// Path names the calls alone, without those of the packages that only pass a read on, so that a read can be compared with a wait to read.
	Path   uint64
	Source Source
	// Own tells that the function that the goroutine was started for waits itself, and nothing that it has called to do its work.
	Own bool
	// Loop is the function, as linked, that does one piece of work after the other, where the one that the goroutine was started for only calls it;
	// empty else.
	Loop string
	// Select tells that it waits in a select, Channels that it waits for channels, there or in a receive.
	Select, Channels bool
	// Listed tells that the homes of the start function are known beforehand: Home whether this is one.
	Listed, Home bool
	// Opening tells that what is awaited is the first request of a connection, of which a read that does not wait tells too.
	Opening bool
	// Accepts tells that the goroutine waits for connections, Carries that it does no work itself, but carries what others read and write over one.
	Accepts, Carries bool
}

// Role is what the function that a goroutine was started for says of it.
type Role uint8

const (
	// Ordinary says nothing.
	Ordinary Role = iota
	// Main is the main goroutine.
	Main
	// Request is one that serves one request: it begins a trace, whoever created it.
	Request
	// Helper is one that a library has started for its own sake, on behalf of the goroutine that created it.
	Helper
)

// Handler is a function of the program's that a library calls to serve a request, as linked, zero if none is known. The deeper it is, the more has
// passed the request on.
type Handler struct {
	Function string
	Depth    int
}

// Places tells what addresses in a process mean.
type Places interface {
	// Role tells of goroutines that begin at an address.
	Role(startPC uint64) Role
	// Start returns the address as linked.
	Start(startPC uint64) uint64
	// Wait tells of a place at which a goroutine that begins at startPC waits; stack is nil if it is not known.
	Wait(startPC uint64, reason uint8, stack *Stack) Place
	// Read tells of a place at which it is in a system call. It is the zero Place if that does not read.
	Read(startPC uint64, stack *Stack) Place
	// Handler tells which function was called to serve a request, as a stack of a goroutine that begins at startPC shows.
	Handler(startPC uint64, stack *Stack) Handler
	// LateReasons tells that the reason of a wait is only known at its end.
	LateReasons() bool
	// Sends tells whether a goroutine may have sent to a channel that has waited for a reason, a value of g.waitreason, and whether it certainly has.
	Sends(reason uint8) (may, has bool)
	// Reads tells whether a goroutine has waited for a file descriptor by a reason.
	Reads(reason uint8) bool
	// Locks tells whether a goroutine has waited for a mutex by a reason: who has unlocked that has done nothing for it.
	Locks(reason uint8) bool
	// Awaits tells whether a goroutine that has waited for a reason may have waited for what another one does for it.
	Awaits(reason uint8) bool
}
