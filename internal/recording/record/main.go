//go:build linux

// Command record follows a program with probes, as root, while it answers one HTTP request, and records what they tell. The program
// writes the address at which it listens as its first line.
//
//	go run ./internal/recording/record -out recording.json PROGRAM
package main

import (
	"bufio"
	"flag"
	"io"
	"log"
	"net/http"
	"os/exec"
	"slices"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/uprobe"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
	"github.com/otelgoroutine/goroutinereceiver/internal/recording"
)

func main() {
	out := flag.String("out", "recording.json", "file to write")
	flag.Parse()
	if err := record(flag.Arg(0), *out); err != nil {
		log.Fatal(err)
	}
}

func record(program, out string) error {
	binary, err := goexe.Open(program)
	if err != nil {
		return err
	}
	defer binary.Close()
	e, err := uprobe.New(engine.Options{
		MaxGoroutines: 1024, MaxGoroutinesPerProcess: 1024, BufferSize: 8 << 20, ByFunction: true, Labels: engine.LabelNames{TraceID: []string{"trace_id"}, SpanID: []string{"span_id"}},
	})
	if err != nil {
		return err
	}
	defer e.Close()
	attachment, err := e.Attach(binary, program, engine.AttachOptions{Syscalls: true})
	if err != nil {
		return err
	}
	defer attachment.Close()

	cmd := exec.Command(program)
	said, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	address, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		return err
	}
	r := &recording.Recording{PID: cmd.Process.Pid, GoVersion: binary.GoVersion, WaitReasons: binary.WaitReasons, Start: lifecycle.Now()}
	process, err := attachment.Follow(cmd.Process.Pid, 0, engine.Settings{SamplingRatio: 1, RootAge: time.Second, Stacks: true})
	if err != nil {
		return err
	}
	time.Sleep(time.Second) // longer than the root age
	if err := request("http://" + address[:len(address)-1]); err != nil {
		return err
	}
	if err := read(e, r); err != nil {
		return err
	}
	if err := count(e, process, r); err != nil {
		return err
	}
	r.Symbols = symbols(binary, r)
	return r.Save(out)
}

func request(url string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// read takes the program's events until none comes for a while.
func read(e engine.Engine, r *recording.Recording) error {
	for quiet := 0; quiet < 10; {
		var event lifecycle.Event
		ok, err := e.Next(&event, time.Now().Add(50*time.Millisecond))
		switch {
		case err != nil:
			return err
		case !ok:
			quiet++
		case event.PID == r.PID:
			event.Stack, event.CreatorStack = slices.Clone(event.Stack), slices.Clone(event.CreatorStack)
			r.Events = append(r.Events, event)
		}
	}
	return nil
}

func count(e engine.Engine, process engine.Process, r *recording.Recording) (err error) {
	r.End = lifecycle.Now()
	if r.Counts, err = process.Counts(); err != nil {
		return err
	}
	all, err := e.Distributions()
	if err != nil {
		return err
	}
	of := all[process.ID()]
	r.Functions = of.Functions
	for key, h := range of.Histograms {
		r.Histograms = append(r.Histograms, recording.Histogram{HistogramKey: key, Histogram: *h})
	}
	return nil
}

// symbols looks up all addresses that events name.
func symbols(binary *goexe.Binary, r *recording.Recording) recording.Symbols {
	s := recording.Symbols{Starts: map[uint64]pclntab.Frame{}, Calls: map[uint64][]pclntab.Frame{}}
	for pc := range r.Functions {
		s.Starts[pc] = binary.StartFunction(pc)
	}
	for _, e := range r.Events {
		if e.Kind == lifecycle.Created {
			s.Starts[e.StartPC] = binary.StartFunction(e.StartPC)
			s.Calls[e.CreationPC-1] = binary.Frames(e.CreationPC - 1)
		}
		for _, pc := range slices.Concat(e.Stack, e.CreatorStack) {
			s.Calls[pc-1] = binary.Frames(pc - 1)
		}
	}
	return s
}
