//go:build linux

package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/pods"
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
	// Pod matches the processes of pods. Selection knows these.
	Pod *PodSelector
	// All matches every process.
	All bool
}

// Matches tells whether the process meets the criterion. Of pods it knows nothing.
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
	// Pods knows those of this node, by their ids; nil if no selector has pods. It may take as long as Kubernetes does to answer.
	Pods interface {
		Pod(uid string) (pods.Pod, bool)
	}
}

// ByPods tells whether processes are selected by their pods.
func (s Selection) ByPods() bool {
	names := func(m Selector) bool { return m.Pod != nil }
	return slices.ContainsFunc(s.Targets, names) || slices.ContainsFunc(s.Exclude, names)
}

// Selects tells whether the process counts. While it is not known in which pod it runs, it does not count if that may exclude it.
func (s Selection) Selects(p Process) bool {
	if p.PID == os.Getpid() && !s.Self {
		return false
	}
	pod := s.membership(p)
	matches := func(m Selector) bool { return m.Matches(p) || m.Pod != nil && pod.known && m.Pod.matches(pod.Pod) }
	excludes := func(m Selector) bool { return matches(m) || m.Pod != nil && pod.in && !pod.known }
	return slices.ContainsFunc(s.Targets, matches) && !slices.ContainsFunc(s.Exclude, excludes)
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
