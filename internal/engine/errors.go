package engine

import "errors"

var (
	// ErrPermission is wrapped by errors that say which privileges this process lacks.
	ErrPermission = errors.New("missing privilege")
	// ErrKernel is wrapped by errors about what the running kernel does not have.
	ErrKernel = errors.New("unsupported kernel")
	// ErrFollowed is wrapped by errors about a process that the engine follows already: an event tells of it.
	ErrFollowed = errors.New("process is followed already")
	// ErrTooMany is wrapped by errors about more goroutines, processes, executables, or descriptors and memory for them, than there is room
	// for now: later there may be.
	ErrTooMany = errors.New("too many")
)
