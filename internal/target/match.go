package target

import (
	"fmt"
	"path/filepath"
)

// Matcher decides whether a process counts. It holds one criterion.
type Matcher struct {
	// PID matches one process, if not 0.
	PID int
	// Executable is a glob on the resolved path of the executable, in the syntax of path/filepath.Match.
	Executable string
}

// Validate reports a criterion that can never match.
func (m Matcher) Validate() error {
	if _, err := filepath.Match(m.Executable, "/"); err != nil {
		return fmt.Errorf("%q: %w", m.Executable, err)
	}
	return nil
}

// Matches tells whether the process meets the criterion.
func (m Matcher) Matches(p Process) bool {
	if m.PID != 0 {
		return p.PID == m.PID
	}
	matched, err := filepath.Match(m.Executable, p.Executable)
	return err == nil && matched
}
