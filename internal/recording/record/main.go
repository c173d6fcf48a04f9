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

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
	"github.com/otelgoroutine/goroutinereceiver/internal/probe"
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
	tracer, err := probe.New(probe.Options{
		MaxGoroutines: 1024, MaxGoroutinesPerTarget: 1024, RingBufferSize: 8 << 20, Labels: probe.LabelNames{TraceID: []string{"trace_id"}, SpanID: []string{"span_id"}},
	})
	if err != nil {
		return err
	}
	defer tracer.Close()
	attachment, err := tracer.Attach(binary, program, true)
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
	target, err := attachment.Follow(cmd.Process.Pid, 0, probe.Settings{SamplingRatio: 1, RootAge: time.Second, Stacks: probe.FullStack, ByFunction: true})
	if err != nil {
		return err
	}
	time.Sleep(time.Second) // longer than the root age
	if err := request("http://" + address[:len(address)-1]); err != nil {
		return err
	}
	if err := read(tracer, r); err != nil {
		return err
	}
	if err := count(tracer, target, r); err != nil {
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
func read(tracer *probe.Tracer, r *recording.Recording) error {
	for quiet := 0; quiet < 10; {
		var e lifecycle.Event
		ok, err := tracer.Read(&e)
		switch {
		case err != nil:
			return err
		case !ok:
			quiet++
		case e.PID == r.PID:
			e.Stack = slices.Clone(e.Stack)
			r.Events = append(r.Events, e)
		}
	}
	return nil
}

func count(tracer *probe.Tracer, target *probe.Target, r *recording.Recording) (err error) {
	r.End = lifecycle.Now()
	if r.Counts, err = target.Counts(); err != nil {
		return err
	}
	histograms, err := tracer.Histograms()
	if err != nil {
		return err
	}
	for key, h := range histograms.Of(target) {
		r.Histograms = append(r.Histograms, recording.Histogram{HistogramKey: key, Histogram: *h})
	}
	functions, err := tracer.Functions()
	r.Functions = functions.Of(target)
	return err
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
		for _, pc := range e.Stack {
			s.Calls[pc-1] = binary.Frames(pc - 1)
		}
	}
	return s
}
