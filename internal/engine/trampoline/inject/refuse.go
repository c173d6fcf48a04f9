//go:build linux

package inject

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/capability"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// Values of kernel.yama.ptrace_scope (Documentation/admin-guide/LSM/Yama.rst): who may trace.
const (
	scopeAll  = "0"
	scopeNone = "3"
)

// refusePermission returns the refusal of a process that may not be traced.
func refusePermission(err error) error {
	return refusalOf(err, os.DirFS("/proc/sys/kernel/yama"), len(capability.Missing(unix.CAP_SYS_PTRACE)) == 0)
}

// refusalOf tells whether it is Yama who does not let it be traced, by one who has CAP_SYS_PTRACE or not.
func refusalOf(err error, yama fs.FS, capable bool) error {
	scope, _ := fs.ReadFile(yama, "ptrace_scope")
	switch s := strings.TrimSpace(string(scope)); {
	case s == scopeNone, s != "" && s != scopeAll && !capable:
		return engine.Refuse(engine.RefusedYama, "kernel.yama.ptrace_scope is %s: %w", s, err)
	}
	return engine.Refuse(engine.RefusedPermission, "it may not be traced: %w", err)
}

// refuseIfDenied makes a refusal of an error about a missing privilege.
func refuseIfDenied(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return refusePermission(err)
	}
	return err
}
