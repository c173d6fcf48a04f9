//go:build linux

package capability

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMissing(t *testing.T) {
	bit := func(n int) uint64 { return 1 << n }
	needed := []int{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE}
	for name, c := range map[string]struct {
		effective uint64
		lacking   string
	}{
		"all":              {^uint64(0), ""},
		"just enough":      {bit(unix.CAP_SYS_ADMIN) | bit(unix.CAP_SYS_PTRACE), ""},
		"none":             {0, "CAP_SYS_ADMIN, CAP_SYS_PTRACE"},
		"no ptrace":        {bit(unix.CAP_SYS_ADMIN), "CAP_SYS_PTRACE"},
		"an unrelated one": {bit(unix.CAP_NET_ADMIN), "CAP_SYS_ADMIN, CAP_SYS_PTRACE"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(missing(c.effective, needed), ", "); got != c.lacking {
				t.Errorf("missing is %q, want %q", got, c.lacking)
			}
		})
	}
}
