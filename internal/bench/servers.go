//go:build linux

package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

// steadyRate is how many requests a second a server has that is not asked for as many as it can answer.
const steadyRate = 500

// Settings of the receiver for servers: as it decides by itself within its default budget.
const (
	automatic = "engine: auto"
	allTraces = "traces: {sampling_ratio: 1, max_spans_per_second: 0}"
)

// serverCases are who follows servers.
var serverCases = []benchCase{
	{name: nothing, attach: func(*bench) (*attached, error) { return nobody(), nil }},
	{name: "metrics", attach: collector(automatic, noTraces)},
	{name: "all traces", attach: collector(automatic, allTraces)},
}

// serverResult is what was measured of a server in one round.
type serverResult struct {
	// steady is with steadyRate requests a second, full with as many as it answers.
	steady, full result
	// requests are all that were made, changes how many changes of state there were for one.
	requests, changes float64
	// what the collector told: nil if nobody followed.
	told *told
}

// serverResults are those of all rounds, by the names of cases.
type serverResults map[string][]serverResult

// servers measures servers in rounds, each with all cases one after the other, and prints what was found.
func (b *bench) servers(names []string, rounds int) {
	all := map[string]serverResults{}
	for _, name := range names {
		s, err := e2etest.ServerNamed(name)
		if err != nil {
			log.Fatal(err)
		}
		exe, err := s.Build()
		if err != nil {
			log.Fatal(err)
		}
		all[name] = serverResults{}
		for range rounds {
			for _, c := range serverCases {
				r, err := b.runServer(s, exe, c)
				if err != nil {
					log.Printf("%s, %s: %v", name, c.name, err)
					continue
				}
				all[name][c.name] = append(all[name][c.name], r)
			}
		}
	}
	reportServers(os.Stdout, names, all)
}

// runServer measures one case of a server: first with as many requests as it answers, then with steadyRate a second.
func (b *bench) runServer(s e2etest.Server, exe string, c benchCase) (r serverResult, err error) {
	of := *b
	of.workload = exe
	if of.backend, err = e2etest.StartBackend(nil); err != nil {
		return r, err
	}
	defer of.backend.Stop()
	by, err := c.attach(&of)
	if err != nil {
		return r, err
	}
	if r, err = of.measureServer(s, exe, by); err == nil && by.pid != 0 {
		r.changes = float64(by.changes()) / r.requests
	}
	by.detach()
	if by.pid != 0 && err == nil {
		r.told = of.toldOf(r.steady, by.said.String())
	}
	return r, err
}

func (b *bench) measureServer(s e2etest.Server, exe string, by *attached) (r serverResult, err error) {
	server, err := startServer(s, exe)
	if err != nil {
		return r, err
	}
	defer server.stop()
	if err := by.ready(); err != nil {
		return r, err
	}
	if r.full, err = b.under(server, by, 0, move); err != nil {
		return r, err
	}
	r.steady, err = b.under(server, by, steadyRate, calm)
	r.requests = float64(server.requests)
	return r, err
}

// For how long a server is under a load before it is measured: until its probes have become trampolines, and until all is read and told that
// was lost before.
const move, calm = 1200 * time.Millisecond, 1200 * time.Millisecond

// under measures a server under load: after a time to settle, for the time that is measured.
func (b *bench) under(s *runningServer, by *attached, rate float64, settle time.Duration) (r result, err error) {
	s.load.rate = rate
	settled, err := s.load.drive(settle, 0)
	if err != nil {
		return r, err
	}
	before, cpu := by.usage(), processorTime(s.cmd.Process.Pid)
	received, begin := b.backend.Received(), time.Now()
	made, err := s.load.drive(time.Duration(b.seconds*float64(time.Second)), 0)
	if err != nil {
		return r, err
	}
	s.requests += len(settled) + len(made)
	r.began, r.seconds = begin, time.Since(begin).Seconds()
	r.cpu, r.ops, r.bytes = (processorTime(s.cmd.Process.Pid) - cpu).Seconds(), float64(len(made)), b.backend.Received()-received
	r.used = by.usage().since(before)
	return r, nil
}

// runningServer is a server that answers, and clients that ask it.
type runningServer struct {
	cmd  *exec.Cmd
	dir  string
	load load
	// requests are those that were answered so far.
	requests int
}

func startServer(s e2etest.Server, exe string) (*runningServer, error) {
	dir, err := os.MkdirTemp("", s.Name)
	if err != nil {
		return nil, err
	}
	r := &runningServer{dir: dir}
	cmd, address, err := s.Start(exe, dir)
	if err != nil {
		return nil, err
	}
	r.cmd = cmd
	if r.load, err = awaitServer(s.Name, address); err != nil {
		r.stop()
		return nil, fmt.Errorf("%s: %w\n%s", s.Name, err, cmd.Stderr)
	}
	return r, nil
}

// awaitServer returns clients of a server once it answers all of them.
func awaitServer(name, address string) (l load, err error) {
	waited := eventually(func() bool {
		if l, err = dialAll(name, address); err != nil {
			return false
		}
		for _, c := range l.clients {
			if err = c.ask(false); err != nil {
				l.close()
				return false
			}
		}
		return true
	})
	if waited != nil {
		return load{}, fmt.Errorf("%w: %w", waited, err)
	}
	return l, nil
}

func (s *runningServer) stop() {
	s.load.close()
	e2etest.StopServer(s.cmd)
	_ = os.RemoveAll(s.dir)
}
