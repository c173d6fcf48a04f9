//go:build linux

package cpuusage

import (
	"os"
	"path"
	"slices"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// controller is the one that has quotas of CPUs.
const controller = "cpu"

// hierarchy is one of control groups in which CPUs are shared out.
type hierarchy struct {
	unified bool // version 2
	// root is the group that is mounted, as this process sees it, at the directory.
	root, directory string
}

// hierarchies returns those that are mounted.
func hierarchies() []hierarchy {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return parseHierarchies(string(mounts))
}

// parseHierarchies finds hierarchies among mounts: id parent device root directory options fields... - type source options (proc_pid_mountinfo(5)).
func parseHierarchies(mounts string) (found []hierarchy) {
	for line := range strings.Lines(mounts) {
		mount, filesystem, _ := strings.Cut(line, " - ")
		at, of := strings.Fields(mount), strings.Fields(filesystem)
		if len(at) < 5 || len(of) < 3 {
			continue
		}
		h := hierarchy{unified: of[0] == "cgroup2", root: unescape.Replace(at[3]), directory: unescape.Replace(at[4])}
		if h.unified || of[0] == "cgroup" && slices.Contains(strings.Split(of[2], ","), controller) {
			found = append(found, h)
		}
	}
	return found
}

// unescape undoes what the kernel does to white space and backslashes in paths.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// directories returns where a group and those above it are, innermost first; none of groups without quotas of CPUs, or that lie outside of
// what is mounted.
func directories(all []hierarchy, of processes.Cgroup) (found []string) {
	unified := len(of.Controllers) == 0
	if !unified && !slices.Contains(of.Controllers, controller) {
		return nil
	}
	for _, h := range all {
		below, ok := h.below(of.Path)
		if h.unified != unified || !ok {
			continue
		}
		for ; below != "/"; below = path.Dir(below) {
			found = append(found, path.Join(h.directory, below))
		}
		return append(found, h.directory)
	}
	return nil
}

// below returns the path of a group from the mounted one on. A path that leads up from the root of this process's namespace is known only if
// the mounted group is on it.
func (h hierarchy) below(group string) (string, bool) {
	rest, ok := strings.CutPrefix(group, strings.TrimSuffix(h.root, "/"))
	if !ok || rest != "" && rest[0] != '/' || slices.Contains(strings.Split(rest, "/"), "..") {
		return "", false
	}
	return path.Join("/", rest), true
}
