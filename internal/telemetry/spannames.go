//go:build linux

package telemetry

import (
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Span names hold nothing that differs between goroutines, and no paths: a backend groups by them, and shows little more than their beginning.

// Names of goroutines that no go statement of the program started: of that which runs main.main, and of those that start nobody knows where.
const (
	mainGoroutine    = "main goroutine"
	unknownGoroutine = "goroutine"
)

// goName names goroutines that were started for a function as their go statement does.
func goName(function string) string {
	switch function {
	case "":
		return unknownGoroutine
	case "runtime.main":
		return mainGoroutine
	}
	return "go " + shortName(function)
}

// jobName names a piece of work of goroutines that were started for a function.
func jobName(function string) string {
	switch function {
	case "", "runtime.main":
		return goName(function)
	}
	return shortName(function)
}

// requestName names a request by the function that serves it, or of gRPC by its method.
func requestName(handler string) string {
	if method, ok := goexe.GRPCMethod(handler); ok {
		return method
	}
	return shortName(handler)
}

// stateName names an interval that a goroutine spends in a state; function is where it blocks, empty if that is not known.
func stateName(s lifecycle.State, reason, function string) string {
	name := s.String()
	switch {
	case s == lifecycle.Runnable:
		return "runnable (waits for a CPU)"
	case s == lifecycle.Waiting && reason != "":
		name = reason
	}
	if function != "" {
		name += " in " + shortName(function)
	}
	return name
}

// shortName returns the linker symbol of a function as code in another package would write it, and as Go's own traces do: with the package's
// name, not its path, and without type arguments.
func shortName(function string) string {
	path, arguments := function, ""
	if i := strings.IndexByte(function, '['); i >= 0 { // type arguments hold paths too
		path = function[:i]
		arguments = "[...]" + function[strings.LastIndexByte(function, ']')+1:]
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if version, rest, ok := strings.Cut(name, "."); ok && isMajorVersion(version) && len(name) < len(path) {
		folder := path[:len(path)-len(name)-1]
		name = folder[strings.LastIndexByte(folder, '/')+1:] + "." + rest
	}
	return strings.ReplaceAll(name, "%2e", ".") + arguments // the linker escapes dots of a path's last element
}

// isMajorVersion tells whether an element of a module's path is its major version, such as v2.
func isMajorVersion(element string) bool {
	return len(element) > 1 && element[0] == 'v' && strings.Trim(element[1:], "0123456789") == ""
}
