//go:build linux

// Command bench measures, as root, what following goroutines costs the program that is followed: it lets programs do one kind of thing as
// often as they can, with nothing attached, with a probe that does nothing, with other tools, and with the collector. All are compared
// within one run, in rounds, each with all cases one after the other; what is printed are medians of the rounds.
//
//	go run ./internal/bench -rounds 5 -seconds 1
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 5, "rounds of all cases")
	seconds := flag.Float64("seconds", 1, "seconds that are measured in each")
	release := flag.String("release", "", "the release of Go that builds the programs, such as go1.20.14; the default is the one at hand")
	targets := flag.String("targets", strings.Join(kinds, ","), "programs")
	names := flag.String("cases", strings.Join(caseNames(), ","), "cases")
	config := flag.String("config", "", "further settings of the collector, such as `overhead: {budget: 0.05}`")
	settle := flag.Duration("settle", 200*time.Millisecond, "for how long a program works before it is measured")
	servers := flag.String("servers", "", "servers that are measured instead of programs, such as caddy,etcd")
	traces := flag.Bool("traces", false, "servers have few requests, and their traces are looked at")
	flag.Parse()
	b := bench{seconds: *seconds, settle: *settle, config: *config, collector: "bin/otelcol-goroutine"}
	if err := b.build(*release); err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(b.dir)
	if names := strings.Split(*servers, ","); *traces {
		b.traces(names)
		return
	} else if *servers != "" {
		b.servers(names, *rounds)
		return
	}
	for _, kind := range strings.Split(*targets, ",") {
		results := map[string][]result{}
		chosen := strings.Split(*names, ",")
		for round := range *rounds {
			b.counts = round == 0
			for _, name := range chosen {
				r, err := b.run(kind, name)
				if err != nil {
					log.Printf("%s, %s: %v", kind, name, err)
					continue
				}
				results[name] = append(results[name], r)
			}
		}
		report(os.Stdout, kind, chosen, results)
	}
}

// bench is a run of the command.
type bench struct {
	dir, workload     string
	collector, config string
	seconds           float64
	settle            time.Duration
	counts            bool             // how many changes of state an operation has
	backend           *e2etest.Backend // nil if nobody looks at what the collector exports
}

// run measures one case of one kind of program.
func (b *bench) run(kind, name string) (result, error) {
	i := slices.IndexFunc(cases, func(c benchCase) bool { return c.name == name })
	if i < 0 {
		return result{}, fmt.Errorf("no such case")
	}
	c := cases[i]
	attached, err := c.attach(b)
	if err != nil {
		return result{}, err
	}
	defer attached.detach()
	return b.measure(kind, c, attached)
}
