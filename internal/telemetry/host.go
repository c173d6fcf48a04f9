//go:build linux

package telemetry

import (
	"os"
	"strings"
	"sync"
)

// host is the machine.
type host struct{ id, name string }

// thisHost is the machine as the collector sees it, which is read once. What is not known is empty.
var thisHost = sync.OnceValue(func() host {
	name, _ := os.Hostname()
	return host{id: machineID("/etc/machine-id", "/var/lib/dbus/machine-id"), name: name}
})

// machineID returns the machine's id as the first of the files that has one tells it (machine-id(5)), empty if none does.
func machineID(files ...string) string {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if id := strings.TrimSpace(string(text)); err == nil && id != "" {
			return id
		}
	}
	return ""
}
