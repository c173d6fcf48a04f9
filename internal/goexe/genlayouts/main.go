// Command genlayouts keeps ../layouts.json, the runtime layouts that package goexe embeds.
//
//	genlayouts -out layouts.json                           rewrite the file as it would be written
//	genlayouts -out layouts.json -import layouts.json      take over measured layouts (field names as in DWARF)
//	genlayouts -out layouts.json go1.28.0 …                measure releases: build a program with each and read its DWARF
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/version"
	"log"
	"os"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "layouts.json", "file to update")
	from := flag.String("import", "", "file of measured layouts to take over")
	flag.Parse()
	if err := run(*out, *from, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(out, from string, releases []string) error {
	var ls []goexe.Layout
	if old, err := os.ReadFile(out); err == nil && len(old) > 0 {
		if err := json.Unmarshal(old, &ls); err != nil {
			return fmt.Errorf("%s: %w", out, err)
		}
	}
	if from != "" {
		imported, err := importMeasured(from)
		if err != nil {
			return err
		}
		ls = merge(ls, imported)
	}
	for _, r := range releases {
		l, err := measure(r)
		if err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
		ls = merge(ls, []goexe.Layout{*l})
	}
	b, err := json.MarshalIndent(ls, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

// merge replaces or adds layouts and sorts them by release.
func merge(ls, more []goexe.Layout) []goexe.Layout {
	for _, m := range more {
		ls = slices.DeleteFunc(ls, func(l goexe.Layout) bool { return l.GoVersion == m.GoVersion })
		ls = append(ls, m)
	}
	slices.SortFunc(ls, func(a, b goexe.Layout) int { return version.Compare(a.GoVersion, b.GoVersion) })
	return ls
}
