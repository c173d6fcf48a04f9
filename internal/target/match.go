package target

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Matcher decides whether a process counts. It holds one criterion.
type Matcher struct {
	// PID matches one process, if not 0.
	PID int
	// Executable is a glob on the resolved path of the executable, in the syntax of path/filepath.Match.
	Executable string
	// CommandLine matches the arguments, joined by spaces.
	CommandLine *regexp.Regexp
	// ContainerID is a container's id or the beginning of one.
	ContainerID string
	// Cgroup is a glob on the path of a control group that the process is in.
	Cgroup string
	// All matches every process.
	All bool
}

// Validate reports a criterion that can never match.
func (m Matcher) Validate() error {
	for _, glob := range []string{m.Executable, m.Cgroup} {
		if _, err := filepath.Match(glob, "/"); err != nil {
			return fmt.Errorf("%q: %w", glob, err)
		}
	}
	return nil
}

// Matches tells whether the process meets the criterion.
func (m Matcher) Matches(p Process) bool {
	switch {
	case m.All:
		return true
	case m.PID != 0:
		return p.PID == m.PID
	case m.Executable != "":
		matched, err := filepath.Match(m.Executable, p.Executable)
		return err == nil && matched
	case m.CommandLine != nil:
		arguments := p.Arguments()
		return len(arguments) > 0 && m.CommandLine.MatchString(strings.Join(arguments, " "))
	case m.ContainerID != "":
		return strings.HasPrefix(p.ContainerID(), m.ContainerID)
	case m.Cgroup != "":
		return slices.ContainsFunc(p.Cgroups(), func(path string) bool {
			matched, err := filepath.Match(m.Cgroup, path)
			return err == nil && matched
		})
	}
	return false
}

// Selection is which processes count.
type Selection struct {
	// Targets match those that count, but for those that Exclude matches.
	Targets, Exclude []Matcher
	// Self allows the process that asks.
	Self bool
}

// Selects tells whether the process counts.
func (s Selection) Selects(p Process) bool {
	if p.PID == os.Getpid() && !s.Self {
		return false
	}
	matches := func(m Matcher) bool { return m.Matches(p) }
	return slices.ContainsFunc(s.Targets, matches) && !slices.ContainsFunc(s.Exclude, matches)
}

// Open tells whether processes may count that do not run yet.
func (s Selection) Open() bool {
	return slices.ContainsFunc(s.Targets, func(m Matcher) bool { return m.PID == 0 })
}

// Names tells whether the process is named as a Go program, by its id or executable: then it is worth a word if it is none. Others may
// match because they happen to be there.
func (s Selection) Names(p Process) bool {
	return slices.ContainsFunc(s.Targets, func(m Matcher) bool { return (m.PID != 0 || m.Executable != "") && m.Matches(p) })
}

// Missing returns an error for each process that is named by its id and not among the live ones.
func (s Selection) Missing(live map[int]bool) map[int]error {
	missing := map[int]error{}
	for _, m := range s.Targets {
		if m.PID != 0 && !live[m.PID] {
			missing[m.PID] = fmt.Errorf("%w: %d", ErrNoProcess, m.PID)
		}
	}
	return missing
}
