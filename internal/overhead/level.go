// Package overhead keeps what following a program's goroutines costs the program within a budget.
package overhead

// Level is how much is seen of a program, from all to the least.
type Level int

const (
	// Full is all that the configuration asks for.
	Full Level = iota
	// FewerTrees samples fewer trees of goroutines, or none.
	FewerTrees
	// NoSyscalls has no probes that only see system calls: those count as running, and no tree is sampled.
	NoSyscalls
	// Slices attaches the probes for a part of the time.
	Slices
	// Snapshots attaches nothing, but for a slice from time to time that shows whether it still must be so: goroutines are counted by a look at
	// the process's memory.
	Snapshots
)

// String returns the level's name in telemetry.
func (l Level) String() string {
	return [...]string{"full", "fewer_trees", "no_syscalls", "slices", "snapshots"}[l]
}
