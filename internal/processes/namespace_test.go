//go:build linux

package processes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// inNamespace tells the test's process that it is a child of TestNamespaces.
const inNamespace = "PROCESSES_TEST_NAMESPACE"

func TestNamespaces(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		fmt.Printf("wrong for probes: %v, for snapshots: %v\n", errors.Is(CheckHost(), ErrNamespace), errors.Is(CheckProc(), ErrNamespace))
		return
	}
	testbuild.RequireRoot(t)
	if err := CheckHost(); err != nil {
		t.Error(err)
	}
	for flags, want := range map[string]string{
		"--pid --fork --mount-proc": "wrong for probes: true, for snapshots: false",
		"--pid --fork":              "wrong for probes: true, for snapshots: true",
		"--mount":                   "wrong for probes: false, for snapshots: false",
	} {
		cmd := exec.Command("unshare", append(strings.Fields(flags), os.Args[0], "-test.run=^TestNamespaces$")...)
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("unshare %s: %v\n%s", flags, err, out)
		}
	}
}

func TestNamespaceOfProc(t *testing.T) {
	for status, want := range map[string]int{
		"Name:\tx\nNSpid:\t7\nNSpgid:\t7\n": 1, "Name:\tx\nNSpid:\t4312\t7\nNSpgid:\t7\n": 2, "Name:\tNSpid: 1 2\nPid:\t7\n": 0, "": 0,
	} {
		if got := idsIn(status); len(got) != want {
			t.Errorf("%q has the ids %v", status, got)
		}
	}
}
