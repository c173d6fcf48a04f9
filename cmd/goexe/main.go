// Command goexe tells what the receiver finds in the executable file of a Go program, and with that whether and how it can follow the
// program's goroutines: where probes go, and which instructions jumps to trampolines could take the place of.
//
//	goexe [-json] FILE…
//	goexe [-json] -pid PID
//
// Of a process it also tells whether that permits trampolines, and what its code has in their places now. It exits with 1 if a file cannot be
// followed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// Report is what is found in one file.
type Report struct {
	File string `json:"file"`
	// Error is why it cannot be followed; then all else is empty.
	Error        string            `json:"error,omitempty"`
	GoVersion    string            `json:"go_version,omitempty"`
	GOARCH       string            `json:"goarch,omitempty"`
	MainPath     string            `json:"main_path,omitempty"`
	MainVersion  string            `json:"main_version,omitempty"`
	Settings     map[string]string `json:"build_settings,omitempty"`
	LayoutSource string            `json:"layout_source,omitempty"`
	// ConfirmedBy is what in the file agrees with the layout.
	ConfirmedBy []string `json:"confirmed_by,omitempty"`
	// Release says what the runtime does in this release, and not in all others.
	Release []string `json:"release,omitempty"`
	Sites   []Site   `json:"sites,omitempty"`
	// Patches are what trampolines would take the place of; NoPatches is why there are none.
	Patches   []Patch  `json:"patches,omitempty"`
	NoPatches string   `json:"no_patches,omitempty"`
	Missing   []string `json:"missing,omitempty"`
	// Process is one that runs the file, nil if none was asked for.
	Process *Process `json:"process,omitempty"`
}

// Site is an instruction that is probed.
type Site struct {
	Function string `json:"function"`
	// Address is as linked, Offset in the file.
	Address uint64 `json:"address"`
	Offset  uint64 `json:"offset"`
	// Cost is what the kernel does there: nop5, emulated or single-stepped.
	Cost string `json:"cost"`
	// Syscall sites are left out with syscalls: false.
	Syscall bool `json:"syscall"`
}

// Patch is an instruction that a jump to a trampoline can take the place of.
type Patch struct {
	Function string `json:"function"`
	// Address is as linked.
	Address uint64 `json:"address"`
	// Kind is call or swap.
	Kind string `json:"kind"`
	// Instruction is in the syntax of GNU's assembler.
	Instruction string `json:"instruction"`
	Syscall     bool   `json:"syscall"`
}

func main() {
	asJSON := flag.Bool("json", false, "print JSON")
	pid := flag.Int("pid", 0, "the id of a process to look at")
	flag.Parse()
	if (flag.NArg() == 0) == (*pid == 0) {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: goexe [-json] FILE...\n       goexe [-json] -pid PID")
		os.Exit(2)
	}
	files := flag.Args()
	if *pid != 0 {
		files = []string{fmt.Sprintf("/proc/%d/exe", *pid)}
	}
	reports, followed := inspect(files, *pid)
	if err := print(os.Stdout, reports, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "goexe:", err)
		os.Exit(1)
	}
	if !followed {
		os.Exit(1)
	}
}

// inspect reports on files and tells whether all can be followed. pid is the process that runs them, 0 if none is to be looked at.
func inspect(files []string, pid int) (reports []Report, followed bool) {
	followed = true
	for _, f := range files {
		r, err := report(f, pid)
		if err != nil {
			r = Report{File: f, Error: err.Error()}
			followed = false
		}
		reports = append(reports, r)
	}
	return reports, followed
}

func report(file string, pid int) (Report, error) {
	b, err := goexe.Open(file)
	if err != nil {
		return Report{}, err
	}
	defer b.Close()
	r := Report{
		File: file, GoVersion: b.GoVersion, GOARCH: b.GOARCH, MainPath: b.MainPath, MainVersion: b.MainVersion, Settings: b.Settings,
		LayoutSource: "table, measured on " + b.Layout.GoVersion, ConfirmedBy: b.ConfirmedBy, Release: peculiarities(b),
	}
	if b.LayoutFromDWARF {
		r.LayoutSource = "DWARF of this file"
	}
	if b.AllgLen == 0 || b.AllgPtr == 0 {
		r.Missing = append(r.Missing, "the list of goroutines: those that exist already become known at their first change of state")
	}
	for _, s := range b.Sites {
		r.Sites = append(r.Sites, Site{Function: s.Function, Address: s.Address, Offset: s.Offset, Cost: s.Cost.String(), Syscall: s.Syscall})
		if s.Cost == goexe.SingleStepped {
			r.Missing = append(r.Missing, fmt.Sprintf("a cheap instruction in %s: each hit takes some ten times as long", s.Function))
		}
	}
	r.addPatches(b)
	if pid != 0 {
		r.Process, err = inspectProcess(pid, b)
	}
	return r, err
}

func (r *Report) addPatches(b *goexe.Binary) {
	patches, err := b.Patches()
	if err != nil {
		r.NoPatches = err.Error()
	}
	for _, p := range patches {
		r.Patches = append(r.Patches, Patch{
			Function: p.Function, Address: p.Address, Kind: p.Kind.String(), Instruction: instruction(b.GOARCH, p), Syscall: p.Syscall,
		})
	}
}

// instruction returns the text of an instruction, or its bytes.
func instruction(goarch string, p goexe.Patch) string {
	switch goarch {
	case "amd64":
		if in, err := x86asm.Decode(p.Code, 64); err == nil {
			return x86asm.GNUSyntax(in, p.Address, nil)
		}
	case "arm64":
		if in, err := arm64asm.Decode(p.Code); err == nil {
			return arm64asm.GNUSyntax(in)
		}
	}
	return fmt.Sprintf("% x", p.Code)
}

// peculiarities says in what the release's runtime differs from others, as far as that changes what is read.
func peculiarities(b *goexe.Binary) (all []string) {
	traits := b.Layout.Traits()
	for _, p := range []struct {
		is       bool
		yes, not string
	}{
		{traits.LateReasons, "wait reasons may be stale", "wait reasons are stored before the wait"},
		{traits.LiveSyscalls, "frame pointers of system calls in the thread's register", "frame pointers of system calls in runtime.g"},
		{traits.LabelMap, "profiler labels are a map", "profiler labels are a list"},
		{slices.ContainsFunc(b.Sites, func(s goexe.Site) bool { return s.Syscall }), "system calls bypass casgstatus", "system calls pass casgstatus"},
	} {
		if p.is {
			all = append(all, p.yes)
		} else {
			all = append(all, p.not)
		}
	}
	return append(all, fmt.Sprintf("%d wait reasons, %d of which keep the thread", len(b.WaitReasons), len(b.ThreadKeepers())))
}

func print(w io.Writer, reports []Report, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(reports)
	}
	for _, r := range reports {
		if err := r.write(w); err != nil {
			return err
		}
	}
	return nil
}

func (r Report) write(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(out, "%s\n", r.File)
	if r.Error != "" {
		fmt.Fprintf(out, "  cannot be followed\t%s\n", r.Error)
		return out.Flush()
	}
	fmt.Fprintf(out, "  built by\t%s for %s\n", r.GoVersion, r.GOARCH)
	fmt.Fprintf(out, "  main package\t%s %s\n", r.MainPath, r.MainVersion)
	for _, key := range []string{"-buildmode", "-compiler", "-gcflags", "-ldflags", "-pgo", "-race", "-tags", "-trimpath", "CGO_ENABLED", "GOEXPERIMENT"} {
		if v := r.Settings[key]; v != "" {
			fmt.Fprintf(out, "  built with\t%s=%s\n", key, v)
		}
	}
	fmt.Fprintf(out, "  layout\t%s\n", r.LayoutSource)
	fmt.Fprintf(out, "  confirmed by\t%s\n", strings.Join(r.ConfirmedBy, ", "))
	for _, p := range r.Release {
		fmt.Fprintf(out, "  release\t%s\n", p)
	}
	for _, s := range r.Sites {
		fmt.Fprintf(out, "  probe\t%s\tat %#x\t%s%s\n", s.Function, s.Address, s.Cost, ofSyscalls(s.Syscall))
	}
	for _, p := range r.Patches {
		fmt.Fprintf(out, "  trampoline\t%s\tat %#x\t%s: %s%s\n", p.Function, p.Address, p.Kind, p.Instruction, ofSyscalls(p.Syscall))
	}
	if r.NoPatches != "" {
		fmt.Fprintf(out, "  no trampolines\t%s\n", r.NoPatches)
	}
	if r.Process != nil {
		r.Process.write(out)
	}
	fmt.Fprintf(out, "  missing\t%s\n", orNothing(r.Missing))
	return out.Flush()
}

func ofSyscalls(are bool) string {
	if are {
		return " (system calls)"
	}
	return ""
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, "; ")
}
