// Package goexe finds in the ELF file of a Go program all that following its goroutines takes: the Go version, where the
// runtime keeps what, at which instructions a goroutine changes its state, and what its addresses mean. It refuses what it does not
// understand: a guess would be a wrong number, or a probe in the middle of an instruction.
package goexe

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"go/version"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// ErrNotGo is wrapped by the error about a file that no Go toolchain linked.
var ErrNotGo = errors.New("not a Go binary")

// ErrUnsupported is wrapped by errors about Go programs of which not all is known that following takes.
var ErrUnsupported = errors.New("unsupported program")

// Binary is an analysed executable. Addresses are as linked: a process has them at the same place plus its bias.
type Binary struct {
	// GoVersion is the toolchain's version, such as "go1.26.8".
	GoVersion string
	// GOARCH is "amd64" or "arm64".
	GOARCH string
	// MainPath and MainVersion are the main package's path and the main module's version; Revision is vcs.revision.
	MainPath, MainVersion, Revision string
	// Modules are those that it was built of.
	Modules Modules
	// Settings are the build settings that the toolchain recorded, such as -ldflags, by their keys.
	Settings map[string]string
	// Layout holds the offsets for GoVersion.
	Layout *Layout
	// LayoutFromDWARF tells that Layout is not from the table of known releases but from the binary's debug information.
	LayoutFromDWARF bool
	// ConfirmedBy names what in the file agrees with Layout, beside the code that changes a goroutine's status.
	ConfirmedBy []string
	// WaitReasons holds the text for each value of g.waitreason.
	WaitReasons []string
	// Sites are the instructions to probe.
	Sites []Site
	// SystemStarts are the start functions of the goroutines that the runtime counts as its own.
	SystemStarts []uint64
	// AllgLen and AllgPtr are the addresses of the variables runtime.allglen and runtime.allgptr, 0 if not found.
	AllgLen, AllgPtr uint64
	// Base is the address of the first mapped page.
	Base uint64

	image   *image
	table   table
	symbols *pclntab.Table
}

// Open analyses the executable file at path, which may be of the form /proc/PID/exe. The caller closes it. The error is a FileError if it
// is the file that cannot be followed.
func Open(path string) (*Binary, error) {
	return open(path, analyse)
}

// open reads an executable file.
func open(path string, read func(*image) (*Binary, error)) (b *Binary, err error) {
	im, err := openImage(path)
	if err != nil {
		return nil, err
	}
	err = guarded(func() error {
		b, err = read(im)
		return err
	})
	if err != nil {
		_ = im.close()
		if !errors.Is(err, ErrNotGo) {
			err = fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		return nil, byFile(err)
	}
	im.leave()
	return b, nil
}

// Close releases the file. Frames and StartFunction, which may be in use by others meanwhile, know nothing afterwards.
func (b *Binary) Close() error {
	b.image.mu.Lock()
	defer b.image.mu.Unlock()
	b.symbols = nil
	return b.image.close()
}

func analyse(im *image) (*Binary, error) {
	info, err := buildinfo.Read(bytes.NewReader(im.data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotGo, err)
	}
	b := &Binary{
		GoVersion:   release(info.GoVersion),
		MainPath:    info.Path,
		MainVersion: info.Main.Version,
		Modules:     modulesOf(info),
		Base:        im.base(),
		image:       im,
	}
	b.Settings = map[string]string{}
	for _, s := range info.Settings {
		b.Settings[s.Key] = s.Value
	}
	b.Revision = b.Settings["vcs.revision"]
	switch im.file.Machine {
	case elf.EM_X86_64:
		b.GOARCH = "amd64"
	case elf.EM_AARCH64:
		b.GOARCH = "arm64"
	}
	set := instructionSets[b.GOARCH]
	if set == nil {
		return nil, fmt.Errorf("%s, built for %s: only amd64 and arm64 are supported", b.GoVersion, im.file.Machine)
	}
	if b.Layout, err = b.findLayout(info.GoVersion); err != nil {
		return nil, err
	}
	if since := registerArguments[b.GOARCH]; version.Compare(b.GoVersion, since) < 0 {
		return nil, fmt.Errorf("%s for %s passes arguments on the stack: only %s and later are supported", b.GoVersion, b.GOARCH, since)
	}
	symbols := symbolTable(im, symbolText, symbolGoFunc, symbolGoFuncOld, symbolFirstModule, symbolAllgLen, symbolAllgPtr)
	if b.table, err = locateTable(im, symbols, b.Layout); err != nil {
		return nil, fmt.Errorf("%s: %w", b.GoVersion, err)
	}
	if b.symbols, err = b.table.open(im); err != nil {
		return nil, fmt.Errorf("%s: %w", b.GoVersion, err)
	}
	if first, ok := b.symbols.Func(0); !ok || im.from(first.Entry) == nil {
		return nil, fmt.Errorf("%s: %w: the first function is outside the code", b.GoVersion, pclntab.ErrFormat)
	}
	functions, swap, err := b.runtimeFunctions()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.GoVersion, err)
	}
	if err := b.confirm(set, functions, b.findVariables(set, functions, symbols)); err != nil {
		return nil, fmt.Errorf("%s: %w", b.GoVersion, err)
	}
	if err := b.findCode(set, functions, swap); err != nil {
		return nil, fmt.Errorf("%s: %w", b.GoVersion, err)
	}
	return b, nil
}

// maxFunctions bounds how many functions package runtime has: of Go 1.27 it has less than 4 000.
const maxFunctions = 1 << 16

// inlinedClosure begins the names, from Go 1.27 on, of closures in functions that were inlined: they are the same in each place, and named
// after none (closureName in cmd/compile/internal/ir/func.go). That of goready calls ready, which may be inlined into it in turn.
const inlinedClosure = "_."

func isRuntimeClosure(f pclntab.Func) bool {
	file, _ := f.Line(f.Entry)
	return inRuntime(file)
}

// runtimeFunctions returns the functions of package runtime, by address, and the address of atomic.(*Uint32).CompareAndSwap, 0 if
// there is none.
func (b *Binary) runtimeFunctions() (functions []function, swap uint64, err error) {
	size := 0
	for i := range b.symbols.Len() {
		f, ok := b.symbols.Func(i)
		if !ok {
			return nil, 0, fmt.Errorf("%w: function %d", pclntab.ErrFormat, i)
		}
		if !f.HasNamePrefix("runtime") && !f.HasNamePrefix("internal/runtime") && !f.HasNamePrefix(inlinedClosure) {
			continue
		}
		if len(functions) >= maxFunctions {
			return nil, 0, fmt.Errorf("%w: more than %d functions of package runtime", pclntab.ErrFormat, maxFunctions)
		}
		switch name := string(f.NameInPlace()); {
		case strings.HasPrefix(name, "runtime."), strings.HasPrefix(name, inlinedClosure) && isRuntimeClosure(f):
			code := b.image.between(f.Entry, f.End)
			if size += len(name) + len(code); size > len(b.image.data) {
				return nil, 0, fmt.Errorf("%w: functions overlap", pclntab.ErrFormat)
			}
			functions = append(functions, function{name: name, entry: f.Entry, code: code})
		case name == "runtime/internal"+swapName, name == "internal/runtime"+swapName:
			swap = f.Entry
		}
	}
	return functions, swap, nil
}

// findCode finds the sites to probe and the start functions of the runtime's own goroutines.
func (b *Binary) findCode(set instructionSet, functions []function, swap uint64) error {
	for _, f := range functions {
		if isSystemStart(f.name) {
			b.SystemStarts = append(b.SystemStarts, f.entry)
		}
	}
	sites, err := findSites(set, functions, swapped{atomicstatus: int64(b.Layout.G.AtomicStatus), function: swap})
	if err != nil {
		return err
	}
	for i := range sites {
		if sites[i].Offset, err = b.image.offset(sites[i].Address); err != nil {
			return err
		}
	}
	b.Sites = sites
	return nil
}

// findVariables finds where the list of goroutines is, and the texts of the wait reasons: by the symbol table, or else by the code that
// uses them. Without the list, goroutines become known at their first change of state; without the texts, those of the release count.
// It returns the texts that it has found in the file.
func (b *Binary) findVariables(set instructionSet, functions []function, symbols map[string]elf.Symbol) (reasons []string) {
	b.AllgLen, b.AllgPtr = symbols[symbolAllgLen].Value, symbols[symbolAllgPtr].Value
	b.WaitReasons = b.Layout.WaitReasons
	if f, ok := named(functions, allgadd); ok && (b.AllgLen == 0 || b.AllgPtr == 0) {
		if length, pointer, err := set.findAllgs(f); err == nil {
			b.AllgLen, b.AllgPtr = length, pointer
		}
	}
	if f, ok := named(functions, waitReasonString); ok {
		if found, err := set.findWaitReasons(f, b.image); err == nil {
			b.WaitReasons, reasons = found, found
		}
	}
	return reasons
}

// Frames returns the source-level calls at the instruction at pc, innermost first.
func (b *Binary) Frames(pc uint64) (frames []pclntab.Frame) {
	b.lookUp(func(symbols *pclntab.Table) { frames = symbols.Frames(pc) })
	return frames
}

// StartFunction returns the function that a goroutine which starts at pc was started for: behind the wrapper that the
// compiler makes for a go statement with arguments. It is the zero Frame if that is not known.
func (b *Binary) StartFunction(pc uint64) (start pclntab.Frame) {
	b.lookUp(func(symbols *pclntab.Table) {
		f, ok := symbols.Find(pc)
		if !ok {
			return
		}
		if wrapped, ok := f.Wrapped(); ok {
			f = wrapped
		} else if wrapped, ok := b.calledByWrapper(f); ok {
			f = wrapped
		}
		file, line := f.Line(f.Entry)
		start = pclntab.Frame{Function: f.Name(), File: file, Line: line}
	})
	return start
}

// lookUp calls f with the function table, unless the file is closed; it is not closed meanwhile. What f finds counts only if it ends: not if
// the file is cut short.
func (b *Binary) lookUp(f func(*pclntab.Table)) {
	if b.image == nil {
		return
	}
	b.image.mu.RLock()
	defer b.image.mu.RUnlock()
	if b.symbols == nil {
		return
	}
	_ = guarded(func() error { // what cannot be read is not known
		f(b.symbols)
		return nil
	})
}
