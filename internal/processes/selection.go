//go:build linux

package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Selector decides whether a process counts. It holds one criterion.
type Selector struct {
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

// Matches tells whether the process meets the criterion.
func (s Selector) Matches(p Process) bool {
	switch {
	case s.All:
		return true
	case s.PID != 0:
		return p.PID == s.PID
	case s.Executable != "":
		matched, err := filepath.Match(s.Executable, p.Executable)
		return err == nil && matched
	case s.CommandLine != nil:
		arguments := p.Arguments()
		return len(arguments) > 0 && s.CommandLine.MatchString(strings.Join(arguments, " "))
	case s.ContainerID != "":
		return strings.HasPrefix(p.ContainerID(), s.ContainerID)
	case s.Cgroup != "":
		return slices.ContainsFunc(p.Cgroups(), func(group Cgroup) bool {
			matched, err := filepath.Match(s.Cgroup, group.Path)
			return err == nil && matched
		})
	}
	return false
}

// Selection is which processes count.
type Selection struct {
	// Targets match those that count, but for those that Exclude matches.
	Targets, Exclude []Selector
	// Self allows the process that asks.
	Self bool
}

// Selects tells whether the process counts.
func (s Selection) Selects(p Process) bool {
	if p.PID == os.Getpid() && !s.Self {
		return false
	}
	matches := func(m Selector) bool { return m.Matches(p) }
	return slices.ContainsFunc(s.Targets, matches) && !slices.ContainsFunc(s.Exclude, matches)
}

// Open tells whether processes may count that do not run yet.
func (s Selection) Open() bool {
	return slices.ContainsFunc(s.Targets, func(m Selector) bool { return m.PID == 0 })
}

// Names tells whether the process is named as a Go program, by its id or executable: then it is worth a word if it is none. Others may
// match because they happen to be there.
func (s Selection) Names(p Process) bool {
	return slices.ContainsFunc(s.Targets, func(m Selector) bool { return (m.PID != 0 || m.Executable != "") && m.Matches(p) })
}

// missing returns an error for each process that is named by its id and not among the live ones.
func (s Selection) missing(live map[int]Process) map[int]error {
	missing := map[int]error{}
	for _, m := range s.Targets {
		if _, lives := live[m.PID]; m.PID != 0 && !lives {
			missing[m.PID] = fmt.Errorf("%w: %d", ErrNoProcess, m.PID)
		}
	}
	return missing
}
