package goexe

import (
	"bytes"
	"debug/elf"
	"debug/gosym"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func analysed(t *testing.T, exe string) *Binary {
	t.Helper()
	b, err := Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// supports tells whether what a release builds for an architecture is followed.
func supports(release, goarch string) bool {
	return version.Compare(release, registerArguments[goarch]) >= 0
}

// onARM builds for the other architecture.
var onARM = []string{"GOARCH=arm64"}

func TestOpen(t *testing.T) {
	for _, release := range testbuild.Versions {
		for _, goarch := range []string{"amd64", "arm64"} {
			if !supports(release, goarch) {
				continue // TestRefusals
			}
			t.Run(release+"/"+goarch, func(t *testing.T) {
				b := analysed(t, testbuild.Program(t, "lifecycle", testbuild.Options{Version: release, Env: []string{"GOARCH=" + goarch}}))
				if b.GoVersion != release || b.GOARCH != goarch || b.MainPath != "lifecycle" {
					t.Errorf("it is %s for %s, main package %q", b.GoVersion, b.GOARCH, b.MainPath)
				}
				calls, syscalls := 0, 0
				for _, s := range b.Sites {
					if s.Cost == SingleStepped {
						t.Errorf("the kernel must single-step %s at %#x", s.Function, s.Address)
					}
					if s.Kind == Call {
						calls++
					}
					if s.Syscall {
						syscalls++
					}
				}
				if calls != 1 {
					t.Errorf("%d sites in casgstatus, want 1", calls)
				}
				// From Go 1.26 on system calls bypass casgstatus (runtime/proc.go).
				if modern := release >= "go1.26"; modern != (syscalls > 0) {
					t.Errorf("%d sites for system calls", syscalls)
				}
				if len(b.SystemStarts) < 100 {
					t.Errorf("only %d functions count as the runtime's", len(b.SystemStarts))
				}
				if b.AllgLen == 0 || b.AllgPtr == 0 {
					t.Error("runtime.allgs was not found")
				}
			})
		}
	}
}

// TestRuntimeClosures finds the closures of functions that are inlined: goready's is in all releases, by whatever name, for a profile may
// have the compiler inline into it what changes a status.
func TestRuntimeClosures(t *testing.T) {
	for _, release := range testbuild.Versions {
		b := analysed(t, testbuild.Program(t, "lifecycle", testbuild.Options{Version: release}))
		functions, _, err := b.runtimeFunctions()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(functions, func(f function) bool { return strings.HasSuffix(f.name, "goready.func1") && len(f.code) > 0 }) {
			t.Errorf("%s: no closure of goready is the runtime's", release)
		}
	}
	for file, want := range map[string]bool{
		"runtime/proc.go": true, "/usr/lib/go/src/runtime/proc.go": true, "/usr/lib/go/src/runtime/debug/stack.go": false,
		"/home/user/myruntime/main.go": false, "main.go": false, "": false,
	} {
		if inRuntime(file) != want {
			t.Errorf("%q is a file of the runtime: %v", file, !want)
		}
	}
}

// TestArchitecturesAgree compares what is found in the code of two architectures, which the same source was compiled to.
func TestArchitecturesAgree(t *testing.T) {
	functions := func(b *Binary) (names []string) {
		for _, s := range b.Sites {
			names = append(names, s.Function)
		}
		slices.Sort(names)
		return names
	}
	profile := testbuild.SchedulerProfile(t, testbuild.Newest)
	for _, release := range []string{"go1.18.10", "go1.21.13", "go1.23.12", "go1.25.14", testbuild.Newest} { // TestOpen has all
		for name, flags := range map[string][]string{
			"default": nil, "stripped": {"-ldflags=-s -w"}, "pie": {"-buildmode=pie"}, "unoptimized": {"-gcflags=all=-N -l"}, "pgo": {"-pgo=" + profile},
		} {
			if name == "pgo" && release != testbuild.Newest { // each costs seconds; TestMatrix has all
				continue
			}
			t.Run(release+"/"+name, func(t *testing.T) {
				want := functions(analysed(t, testbuild.Program(t, "lifecycle", testbuild.Options{Version: release, Flags: flags})))
				got := functions(analysed(t, testbuild.Program(t, "lifecycle", testbuild.Options{Version: release, Flags: flags, Env: onARM})))
				if !slices.Equal(got, want) {
					t.Errorf("arm64 has sites in %v, amd64 in %v", got, want)
				}
				if name == "pgo" && len(want) < 9 {
					t.Errorf("nothing was inlined: %v", want)
				}
			})
		}
	}
}

// TestSitesAreInstructions checks with another disassembler that each site is the start of an instruction, on arm64 of a jump.
func TestSitesAreInstructions(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"amd64": {nil, `\t0x%x\t`},
		"arm64": {onARM, `\t0x%x\t+[0-9a-f]+\t+(TB|CB|CALL|JMP|B)`},
		// Code for processors that all have the newer instructions.
		"arm64, v8.1": {append(onARM, "GOARM64=v8.1"), `\t0x%x\t+[0-9a-f]+\t+(TB|CB|CALL|JMP|B)`},
	} {
		t.Run(name, func(t *testing.T) {
			exe := testbuild.Program(t, "lifecycle", testbuild.Options{Env: c.env})
			sites := analysed(t, exe).Sites
			if len(sites) < 5 {
				t.Errorf("only %d sites", len(sites))
			}
			for _, s := range sites {
				out, err := exec.Command("go", "tool", "objdump", "-s", "^"+regexp.QuoteMeta(s.Function)+"$", exe).Output()
				if err != nil {
					t.Fatal(err)
				}
				if !regexp.MustCompile(fmt.Sprintf(c.want, s.Address)).Match(out) {
					t.Errorf("%s has no such instruction at %#x", s.Function, s.Address)
				}
			}
		})
	}
}

// TestSymbols compares names and lines of all functions with debug/gosym.
func TestSymbols(t *testing.T) {
	for _, release := range testbuild.Versions {
		t.Run(release, func(t *testing.T) {
			exe := testbuild.Program(t, "lifecycle", testbuild.Options{Version: release})
			b := analysed(t, exe)
			f, err := elf.Open(exe)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			data, err := f.Section(".gopclntab").Data()
			if err != nil {
				t.Fatal(err)
			}
			text := symbolTable(b.image, symbolText)[symbolText].Value
			oracle, err := gosym.NewTable(nil, gosym.NewLineTable(data, text))
			if err != nil {
				t.Fatal(err)
			}
			if len(oracle.Funcs) < 1000 {
				t.Fatalf("debug/gosym knows only %d functions", len(oracle.Funcs))
			}
			for _, want := range oracle.Funcs {
				got, ok := b.symbols.Find(want.Entry)
				if !ok || got.Name() != want.Name || got.Entry != want.Entry {
					t.Fatalf("at %#x is %q, want %q", want.Entry, got.Name(), want.Name)
				}
				wantFile, wantLine, _ := oracle.PCToLine(want.Entry)
				if wantLine < 0 {
					continue // a marker of the linker's
				}
				if file, line := got.Line(want.Entry); file != wantFile || line != wantLine {
					t.Fatalf("%s begins at %s:%d, want %s:%d", want.Name, file, line, wantFile, wantLine)
				}
			}
		})
	}
}

var isWrapper = regexp.MustCompile(`^main\.mutexes(\.gowrap|\.func|·dwrap·)`)

func TestStartFunctionBehindWrapper(t *testing.T) {
	for _, release := range testbuild.Versions {
		t.Run(release, func(t *testing.T) {
			b := analysed(t, testbuild.Program(t, "lifecycle", testbuild.Options{Version: release}))
			behind := map[string]bool{}
			for i := range b.symbols.Len() {
				f, ok := b.symbols.Func(i)
				if ok && isWrapper.MatchString(f.Name()) {
					start := b.StartFunction(f.Entry)
					behind[start.Function] = strings.HasSuffix(start.File, "main.go") && start.Line > 0
				}
			}
			if !behind["main.lockMutex"] {
				t.Errorf("behind the wrappers are %v", behind)
			}
		})
	}
}

// TestVariables compares what the code shows, as it must in a stripped binary, with the symbol table.
func TestVariables(t *testing.T) {
	for _, release := range testbuild.Versions {
		for name, o := range map[string]testbuild.Options{
			"default": {}, "pie": {Flags: []string{"-buildmode=pie"}}, "race": {Flags: []string{"-race"}, Cgo: true},
			"unoptimized": {Flags: []string{"-gcflags=all=-N -l"}},
			"pie, cgo":    {Flags: []string{"-buildmode=pie", "-ldflags=-linkmode=external"}, Cgo: true}, "arm64": {Env: onARM},
			"arm64, pie": {Env: onARM, Flags: []string{"-buildmode=pie"}},
		} {
			if slices.Contains(o.Env, onARM[0]) && !supports(release, "arm64") {
				continue
			}
			t.Run(release+"/"+name, func(t *testing.T) {
				o.Version = release
				b := analysed(t, testbuild.Program(t, "hello", o))
				set := instructionSets[b.GOARCH]
				symbols := symbolTable(b.image, symbolAllgLen, symbolAllgPtr)
				functions, _, err := b.runtimeFunctions()
				if err != nil {
					t.Fatal(err)
				}
				found := 0
				for _, f := range functions {
					switch f.name {
					case allgadd:
						found++
						length, pointer, err := set.findAllgs(f)
						if err != nil || length != symbols[symbolAllgLen].Value || pointer != symbols[symbolAllgPtr].Value {
							t.Errorf("allglen and allgptr are found at %#x and %#x, %v, want %v", length, pointer, err, symbols)
						}
					case waitReasonString:
						found++
						reasons, err := set.findWaitReasons(f, b.image)
						if err != nil || !slices.Equal(reasons, b.Layout.WaitReasons) {
							t.Errorf("the wait reasons are found as %q, %v, want %q", reasons, err, b.Layout.WaitReasons)
						}
					}
				}
				if found != 2 {
					t.Errorf("%d of 2 functions found", found)
				}
			})
		}
	}
}

// TestNewerRelease reads the layout of an unknown release from DWARF.
func TestNewerRelease(t *testing.T) {
	known := analysed(t, testbuild.Program(t, "hello", testbuild.Options{}))
	if known.LayoutFromDWARF {
		t.Fatal("this release is not in the table")
	}
	newer := analysed(t, patch(t, testbuild.Program(t, "hello", testbuild.Options{}), func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("go1.26."), []byte("go1.99."))
	}))
	if !newer.LayoutFromDWARF || !strings.HasPrefix(newer.GoVersion, "go1.99.") {
		t.Errorf("it is %s, its layout from DWARF: %v", newer.GoVersion, newer.LayoutFromDWARF)
	}
	want := *known.Layout
	want.GoVersion = newer.GoVersion
	if !reflect.DeepEqual(*newer.Layout, want) {
		t.Errorf("its layout is %+v, want %+v", *newer.Layout, want)
	}
	if !slices.Equal(newer.Sites, known.Sites) {
		t.Errorf("its sites are %+v, want %+v", newer.Sites, known.Sites)
	}
}

func TestRefusals(t *testing.T) {
	hello := testbuild.Program(t, "hello", testbuild.Options{})
	stripped := testbuild.Program(t, "hello", testbuild.Options{Flags: []string{"-ldflags=-s -w"}})
	for name, c := range map[string]struct {
		path string
		want string
	}{
		"not ELF":         {write(t, []byte("#!/bin/sh\n")), "not an ELF file"},
		"not Go":          {"/bin/true", "not a Go executable"},
		"empty":           {write(t, nil), "not an executable file"},
		"directory":       {t.TempDir(), "not an executable file"},
		"other arch":      {testbuild.Program(t, "hello", testbuild.Options{Env: []string{"GOARCH=riscv64"}}), "EM_RISCV"},
		"stack arguments": {testbuild.Program(t, "hello", testbuild.Options{Version: "go1.17.13", Env: onARM}), "go1.17.13 for arm64 passes arguments on the stack"},
		"too new": {patch(t, stripped, func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("go1.26."), []byte("go1.99."))
		}), "unknown Go version go1.99."},
		"other layout": {patch(t, hello, func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("go1.26."), []byte("go1.23."))
		}), "go1.23.8: the file is not of the release that it names: its debug information has runtime.g: Goid 0x98, not 0xa0"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Open(c.path)
			if err == nil {
				_ = b.Close()
				t.Fatal("it was not refused")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, want one with %q", err, c.want)
			}
		})
	}
	if _, err := Open("/bin/true"); !errors.Is(err, ErrNotGo) {
		t.Errorf("the error about a program in C is %v", err)
	}
}

// TestCloseWhileRead closes files that others look functions up in.
func TestCloseWhileRead(t *testing.T) {
	exe := testbuild.Program(t, "hello", testbuild.Options{})
	var cache Cache
	for range 20 {
		b, err := cache.Open(exe)
		if err != nil {
			t.Fatal(err)
		}
		pc := b.Sites[0].Address
		want, frames := b.StartFunction(b.SystemStarts[0]), b.Frames(pc)
		var readers sync.WaitGroup
		started := make(chan struct{}, 4)
		for range cap(started) {
			readers.Go(func() {
				for first := true; ; first = false {
					start, at := b.StartFunction(b.SystemStarts[0]), b.Frames(pc)
					if start != want && start.Function != "" || at != nil && !slices.Equal(at, frames) {
						t.Errorf("meanwhile a function is %+v, and frames are %+v", start, at)
					}
					if first {
						started <- struct{}{}
					}
					if start.Function == "" && at == nil {
						return
					}
				}
			})
		}
		for range cap(started) {
			<-started
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		readers.Wait()
	}
}

// TestFileCutShort takes the file away from under an open Binary.
func TestFileCutShort(t *testing.T) {
	path := patch(t, testbuild.Program(t, "hello", testbuild.Options{}), func(b []byte) []byte { return b })
	b := analysed(t, path)
	f, _ := b.symbols.Func(b.symbols.Len() - 2)
	entry := f.Entry
	if b.StartFunction(entry).Function == "" || len(b.Frames(entry)) == 0 {
		t.Fatal("the last function has no name")
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if got := b.StartFunction(entry); got.Function != "" {
		t.Errorf("a file that is gone names %+v", got)
	}
	if got := b.Frames(entry); got != nil {
		t.Errorf("a file that is gone has frames %+v", got)
	}
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// patch returns a changed copy of an executable.
func patch(t *testing.T, exe string, change func([]byte) []byte) string {
	t.Helper()
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, change(b))
}
