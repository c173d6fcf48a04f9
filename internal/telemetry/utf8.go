//go:build linux

package telemetry

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// valid returns s as UTF-8, as OTLP wants all strings: for one that is not, a strict backend refuses a whole request. What comes from outside
// (paths, arguments, environments, names in executables) may hold any bytes.
func valid(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }

// maxAttribute is how long an attribute of a resource may be, in bytes: as long as a path (PATH_MAX). A command line may have megabytes, and
// a backend refuses a request that is too large, with what it holds of others.
const maxAttribute = 4096

// validResource makes the attributes of a resource UTF-8 and no longer than they may be.
func validResource(r pcommon.Resource) {
	for _, v := range r.Attributes().All() {
		if v.Type() == pcommon.ValueTypeStr {
			v.SetStr(beginning(valid(v.Str()), maxAttribute))
		}
	}
}

// beginning returns as many characters of s as fit into so many bytes.
func beginning(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && !utf8.RuneStart(s[size]) {
		size--
	}
	return s[:size]
}

func validStrings(all []string) []string {
	made := make([]string, 0, len(all))
	for _, s := range all {
		made = append(made, valid(s))
	}
	return made
}

// validSymbols tells what addresses mean in UTF-8.
type validSymbols struct{ of Symbols }

func (s validSymbols) StartFunction(pc uint64) pclntab.Frame {
	return validFrame(s.of.StartFunction(pc))
}

func (s validSymbols) Frames(pc uint64) []pclntab.Frame {
	frames := slices.Clone(s.of.Frames(pc))
	for i, f := range frames {
		frames[i] = validFrame(f)
	}
	return frames
}

func validFrame(f pclntab.Frame) pclntab.Frame {
	f.Function, f.File = valid(f.Function), valid(f.File)
	return f
}
