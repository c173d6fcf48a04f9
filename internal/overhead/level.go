// Package overhead keeps what following a program's goroutines costs the program, and all programs together, within a budget. It decides
// by what it is told, and by no clock of its own.
package overhead

// Level is how much is seen of a program, from all to the least.
type Level int

const (
	// Full is all that the configuration asks for.
	Full Level = iota
	// FewerTrees samples fewer trees of goroutines, or none.
	FewerTrees
	// NoSyscalls has no probes that only see system calls: those that begin then count as running. No tree is sampled.
	NoSyscalls
	// Windows attaches the probes for a part of the time.
	Windows
	// Snapshots attaches nothing, but for a window from time to time that shows whether it still must be so: goroutines are counted by a look
	// at the process's memory.
	Snapshots
)

// String returns the level's name in telemetry.
func (l Level) String() string {
	return [...]string{"full", "fewer_trees", "no_syscalls", "windows", "snapshots"}[l]
}

// Reason is why a level changes.
type Reason int

const (
	// Room is that more fits into what is allowed.
	Room Reason = iota
	// Budget is that the probes cost a process more than its budget and the floor allow.
	Budget
	// Unfollowed is that they cost processes too much that run the executable and are not followed.
	Unfollowed
	// Host is that all probes on the machine together cost more than it allows, and these here are among the costliest.
	Host
)

// String returns the reason's name in telemetry.
func (r Reason) String() string { return [...]string{"room", "budget", "unfollowed", "host"}[r] }
