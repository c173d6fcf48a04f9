//go:build linux

package processes

import (
	"os"
	"regexp"
	"strings"
)

// Cgroup is a control group that a process is in.
type Cgroup struct {
	// Controllers are those of its hierarchy, with the hierarchy's name, if it has one; none of version 2.
	Controllers []string
	// Path is where it is in its hierarchy, as this process sees it.
	Path string
}

// Cgroups returns the control groups that the process is in, one for each hierarchy; none if it has ended.
func (p Process) Cgroups() (groups []Cgroup) {
	content, err := os.ReadFile(p.path("cgroup")) // an exited thread is in none, or in that of before
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(content)) {
		// hierarchy-id:controllers:path (cgroups(7))
		if fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(fields) == 3 {
			controllers := strings.FieldsFunc(fields[1], func(r rune) bool { return r == ',' })
			groups = append(groups, Cgroup{Controllers: controllers, Path: fields[2]})
		}
	}
	return groups
}

// containerID is what container runtimes put into the names of control groups: containerd, CRI-O, Docker and Podman 64 hexadecimal
// digits, Amazon ECS 32 and a number.
var containerID = regexp.MustCompile(`(?:^|[-/.:])([0-9a-f]{64}|[0-9a-f]{32}-[0-9]{8,})(?:\.scope)?(?:/|$)`)

// ContainerID returns the id of the container that the process runs in, by its control groups; "" if it runs in none.
func (p Process) ContainerID() string {
	for _, group := range p.Cgroups() {
		if id := containerIn(group.Path); id != "" {
			return id
		}
	}
	return ""
}

// containerIn returns the innermost container's id in a control group's path.
func containerIn(path string) (id string) {
	for rest := path; ; {
		found := containerID.FindStringSubmatchIndex(rest)
		if found == nil {
			return id
		}
		id = rest[found[2]:found[3]]
		rest = rest[found[3]:]
	}
}
