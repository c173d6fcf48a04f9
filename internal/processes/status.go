//go:build linux

package processes

import (
	"os"
	"strings"
)

// StatusField returns a field of the status file of a process or thread (proc_pid_status(5)), by its directory in /proc, "" if it has none or is
// gone.
func StatusField(directory, name string) string {
	status, err := os.ReadFile(directory + "/status")
	if err != nil {
		return ""
	}
	return fieldOf(string(status), name)
}

func fieldOf(status, name string) string {
	_, value, _ := strings.Cut("\n"+status, "\n"+name+":")
	value, _, _ = strings.Cut(value, "\n")
	return strings.TrimSpace(value)
}

// IDs returns the ids that a process or thread has, by its directory in /proc, in the PID namespace of /proc and in each below, up to its own;
// none where there are no namespaces, or if it is gone.
func IDs(directory string) []string { return strings.Fields(StatusField(directory, "NSpid")) }
