package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// The ways to run the server are measured in turns: what else the machine does, it does to all of them.
const (
	rounds = 7
	turn   = 500 * time.Millisecond
)

// way is a way to run the server: bare, or followed with an engine.
type way struct {
	name, engine string

	server    *server
	collector *collector
	refusal   *refusal
	turns     []price
}

// price is what was measured in a turn.
type price struct {
	rate float64 // requests/s
	cpu  float64 // of the server, in seconds a request
}

// compare prints what it costs the server to be followed.
func compare(w io.Writer, dir, exe string) error {
	ways := []*way{{name: "bare"}, {name: "kernel probes", engine: "uprobe"}, {name: "trampolines", engine: "trampoline"}}
	fmt.Fprintf(w, "\nWhat it costs the server: %d turns of %s for each way to run it, under the same load, without /hash ...\n\n", rounds, turn)
	for _, v := range ways {
		defer v.end()
		if err := v.start(dir, exe); err != nil {
			return err
		}
	}
	for range rounds {
		for _, v := range ways {
			if err := v.measure(); err != nil {
				return err
			}
		}
	}
	time.Sleep(2 * collectionInterval)
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprint(out, "PRICE\trequests/s\tto bare\tserver's CPU a request\tto bare\tspans\tgoroutines created\n")
	for _, v := range ways {
		if err := v.stop(); err != nil {
			return err
		}
		v.print(out, ways[0])
	}
	fmt.Fprintln(out, "\nThe load and the collector run on the same CPUs: requests/s pay for these too.")
	return out.Flush()
}

// start runs a copy of the server, for the kernel attaches probes to a file, and follows it.
func (v *way) start(dir, exe string) error {
	data, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	own := exe + "-" + v.engine
	if err := os.WriteFile(own, data, 0o700); err != nil {
		return err
	}
	if v.server, err = startServer(own); err != nil || v.engine == "" {
		return err
	}
	if v.collector, err = startCollector(dir, own, v.engine); errors.As(err, &v.refusal) {
		return nil
	}
	return err
}

// measure lets the server have its turn.
func (v *way) measure() error {
	if v.refusal != nil {
		return nil
	}
	pid := v.server.Process.Pid
	before, err := processes.CPUTime(pid)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), turn)
	defer cancel()
	began := time.Now()
	answered := float64(load(ctx, v.server.url, changes))
	took := time.Since(began)
	after, err := processes.CPUTime(pid)
	if err != nil {
		return err
	}
	v.turns = append(v.turns, price{rate: answered / took.Seconds(), cpu: (after - before).Seconds() / max(answered, 1)})
	return nil
}

// print prints the medians of all turns, and of their ratios to those of the bare server in the same round.
func (v *way) print(out io.Writer, bare *way) {
	if v.refusal != nil {
		fmt.Fprintf(out, "%s\tnot possible here: %s\n", v.name, v.refusal.reason)
		return
	}
	var rates, cpus, toRate, toCPU []float64
	for i, p := range v.turns {
		b := bare.turns[i]
		rates, cpus = append(rates, p.rate), append(cpus, p.cpu)
		toRate, toCPU = append(toRate, p.rate/b.rate), append(toCPU, p.cpu/b.cpu)
	}
	fmt.Fprintf(out, "%s\t%.0f\t%.2f\t%s\t%.2f", v.name, median(rates), median(toRate), short(median(cpus)), median(toCPU))
	if v.collector != nil {
		b := v.collector.backend
		fmt.Fprintf(out, "\t%d\t%d", len(b.Spans()), b.Sum("go.goroutine.created"))
	}
	fmt.Fprintln(out)
}

func median(of []float64) float64 {
	return slices.Sorted(slices.Values(of))[len(of)/2]
}

// stop ends what follows the server.
func (v *way) stop() error {
	if v.collector == nil {
		return nil
	}
	return v.collector.stop()
}

// end ends what runs still, whatever has happened.
func (v *way) end() {
	_ = v.stop()
	if v.server != nil {
		_ = end(v.server.Cmd)
	}
}
