package lifecycle

// stateOf gathers the runtime's statuses (runtime/runtime2.go).
var stateOf = map[string]State{
	"Gidle":      Dead,
	"Gdead":      Dead,
	"Gdeadextra": Dead,
	"Grunnable":  Runnable,
	"Grunning":   Running,
	"Gcopystack": Running,
	"Gsyscall":   Syscall,
	"Gwaiting":   Waiting,
	"Gpreempted": Waiting,
	"Gleaked":    Waiting,
}

// StateOf returns the state that a status of the runtime's belongs to, by the name that it has there without the underscore.
func StateOf(status string) (State, bool) {
	s, ok := stateOf[status]
	return s, ok
}
