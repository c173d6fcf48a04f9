// Command goexe tells what the receiver finds in the executable file of a Go program, and with that whether and how it can follow the
// program's goroutines.
//
//	goexe [-json] FILE…
//
// FILE may be /proc/PID/exe. It exits with 1 if a file cannot be followed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

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
	Sites        []Site            `json:"sites,omitempty"`
	Missing      []string          `json:"missing,omitempty"`
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

func main() {
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: goexe [-json] FILE...")
		os.Exit(2)
	}
	reports, followed := inspect(flag.Args())
	if err := print(os.Stdout, reports, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "goexe:", err)
		os.Exit(1)
	}
	if !followed {
		os.Exit(1)
	}
}

// inspect reports on files and tells whether all can be followed.
func inspect(files []string) (reports []Report, followed bool) {
	followed = true
	for _, f := range files {
		r, err := report(f)
		if err != nil {
			r = Report{File: f, Error: err.Error()}
			followed = false
		}
		reports = append(reports, r)
	}
	return reports, followed
}

func report(file string) (Report, error) {
	b, err := goexe.Open(file)
	if err != nil {
		return Report{}, err
	}
	r := Report{
		File: file, GoVersion: b.GoVersion, GOARCH: b.GOARCH, MainPath: b.MainPath, MainVersion: b.MainVersion, Settings: b.Settings,
		LayoutSource: "table, measured on " + b.Layout.GoVersion,
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
	return r, b.Close()
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
	for _, s := range r.Sites {
		of := ""
		if s.Syscall {
			of = " (system calls)"
		}
		fmt.Fprintf(out, "  probe\t%s\tat %#x\t%s%s\n", s.Function, s.Address, s.Cost, of)
	}
	fmt.Fprintf(out, "  missing\t%s\n", orNothing(r.Missing))
	return out.Flush()
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, "; ")
}
