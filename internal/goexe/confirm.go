package goexe

import (
	"errors"
	"fmt"
	"go/version"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// errContradiction is wrapped by errors about files that are not of the release that they name: what is known of it is not true of them.
var errContradiction = errors.New("the file is not of the release that it names")

// findLayout returns the layout for a Go version: the known one of a release, which the debug information may contradict; else, of newer
// releases, development versions and those with experiments or changes of a vendor's, the one that the debug information tells.
func (b *Binary) findLayout(goVersion string) (*Layout, error) {
	known, err := layoutFor(goVersion)
	measured, dwarfErr := measuredLayout(release(goVersion), b.image)
	switch {
	case dwarfErr != nil && err != nil:
		return nil, fmt.Errorf("%w, and this file does not tell its layout: %w", err, dwarfErr)
	case dwarfErr != nil && isDevelopment(goVersion):
		return nil, fmt.Errorf("%q is no release, and this file does not tell its layout: %w", goVersion, dwarfErr)
	case dwarfErr != nil:
		return known, nil
	}
	difference := "all"
	if err == nil {
		difference = known.difference(measured)
	}
	if difference == "" {
		b.ConfirmedBy = append(b.ConfirmedBy, "debug information")
		return known, nil
	}
	if err == nil && isRelease(goVersion) {
		return nil, fmt.Errorf("%s: %w: its debug information has %s", goVersion, errContradiction, difference)
	}
	if unknown := measured.unknownStatuses(); unknown != nil {
		return nil, fmt.Errorf("%s has unknown statuses of goroutines: %s", goVersion, strings.Join(unknown, ", "))
	}
	b.LayoutFromDWARF = true
	return measured, nil
}

// difference says where the runtime of another layout keeps something else; "" if nowhere.
func (l *Layout) difference(other *Layout) string {
	for _, pair := range []struct {
		name     string
		is, must any
	}{
		{"runtime.g", other.G, l.G}, {"runtime.m", other.M, l.M}, {"runtime.moduledata", other.Moduledata, l.Moduledata},
	} {
		is, must := reflect.ValueOf(pair.is), reflect.ValueOf(pair.must)
		for i := range is.NumField() {
			if is.Field(i).Uint() != must.Field(i).Uint() {
				return fmt.Sprintf("%s: %s %#x, not %#x", pair.name, is.Type().Field(i).Name, is.Field(i).Uint(), must.Field(i).Uint())
			}
		}
	}
	if !maps.Equal(l.Status, other.Status) {
		return fmt.Sprintf("the statuses %v, not %v", other.Status, l.Status)
	}
	return ""
}

// confirm compares what is known of the release with what the code shows, also of a stripped file: the form of the function table, the
// size of runtime.g, and the reasons to wait. That the status is where the layout has it, findSites confirms.
func (b *Binary) confirm(set instructionSet, functions []function, reasons []string) error {
	if !b.symbols.WrittenBy(b.GoVersion) {
		return fmt.Errorf("%w: its function table has the form of another", errContradiction)
	}
	b.ConfirmedBy = append(b.ConfirmedBy, "form of the function table")
	if size := b.sizeOfG(set, functions); size == uint64(b.Layout.G.Size) {
		b.ConfirmedBy = append(b.ConfirmedBy, "size of runtime.g")
	} else if size != 0 {
		return fmt.Errorf("%w: its runtime.g has %#x bytes, not %#x", errContradiction, size, b.Layout.G.Size)
	}
	if reasons == nil || b.LayoutFromDWARF {
		return nil
	}
	if !waitsAs(b.GoVersion, reasons) {
		return fmt.Errorf("%w: it has %d other reasons to wait", errContradiction, len(reasons))
	}
	b.ConfirmedBy = append(b.ConfirmedBy, "wait reasons")
	return nil
}

// newG allocates a goroutine (runtime/proc.go). Its code names the type runtime.g.
const newG = "runtime.malg"

// sizeOfG returns the size of runtime.g, in bytes, 0 if it is not found: that of the only type of structures that newG names. Types begin
// with their size; their kind is in the byte at 23 (internal/abi/type.go, runtime/type.go before Go 1.21).
func (b *Binary) sizeOfG(set instructionSet, functions []function) uint64 {
	const (
		kindAt     = 23
		kindMask   = 31
		kindStruct = 25
	)
	f, ok := named(functions, newG)
	if !ok {
		return 0
	}
	for _, address := range set.addresses(f) {
		size, ok := b.image.word(address)
		if t := b.image.from(address); ok && len(t) > kindAt && t[kindAt]&kindMask == kindStruct {
			return size
		}
	}
	return 0
}

// waitsAs tells whether a release has these reasons to wait: those of a measured patch release of the same minor release, and perhaps some
// that a later patch release has added, but not just those of another minor release.
func waitsAs(goVersion string, reasons []string) bool {
	lang := version.Lang(goVersion)
	is, isOther := false, false
	for _, l := range layouts() {
		same := slices.Equal(l.WaitReasons, reasons)
		if version.Lang(l.GoVersion) != lang {
			isOther = isOther || same
			continue
		}
		if same {
			return true
		}
		is = is || len(reasons) > len(l.WaitReasons) && slices.Equal(l.WaitReasons, reasons[:len(l.WaitReasons)])
	}
	return is && !isOther
}

// isRelease tells whether a version names a release, and nothing else: no experiment, no vendor, no commit.
func isRelease(goVersion string) bool { return goVersion == release(goVersion) }

// isDevelopment tells versions between releases, such as "devel go1.27-0f93ed7d3c" and, since Go 1.25, "go1.27-devel_0f93ed7d3c".
func isDevelopment(goVersion string) bool { return strings.Contains(goVersion, "devel") }
