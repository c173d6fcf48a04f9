package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

// server is a running sample server.
type server struct {
	*exec.Cmd
	url string
}

// build builds the sample server.
func build(exe string) error {
	cmd := exec.Command("go", "build", "-o", exe, ".")
	cmd.Dir = filepath.Join("testdata", "server")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the sample server: %w", err)
	}
	return nil
}

func startServer(exe string) (*server, error) {
	s := &server{Cmd: exec.Command(exe)}
	s.Stderr = os.Stderr
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server does not start: %w", err), end(s.Cmd))
	}
	s.url = "http://" + strings.TrimSpace(address)
	return s, nil
}

const (
	collectionInterval = time.Second
	patience           = 30 * time.Second
)

// collector is a running collector, with the backend that it exports to.
type collector struct {
	*exec.Cmd
	backend *e2etest.Backend
}

// startCollector starts a collector and returns when it follows a program with an engine. A *refusal says why it does not.
func startCollector(dir, program, engine string) (*collector, error) {
	backend, err := e2etest.StartBackend(nil)
	if err != nil {
		return nil, err
	}
	file, err := configuration(program, engine, backend.Endpoint()).Write(dir)
	if err != nil {
		return nil, err
	}
	c := &collector{exec.Command("bin/otelcol-goroutine", "--config", file), backend}
	log, err := c.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	told := make(chan error, 1)
	go follow(log, told)
	select {
	case err = <-told:
	case <-time.After(patience):
		err = errors.New("the collector does not tell whether it follows the server")
	}
	if err != nil {
		_ = c.stop() // what is told above is why
		return nil, err
	}
	return c, nil
}

// configuration is that of a collector that shows all of a program, whatever that costs both.
func configuration(program, engine, endpoint string) *e2etest.Config {
	r := e2etest.Following(program)
	r.CollectionInterval = collectionInterval
	r.Overhead.Collector = new(float64) // no limit
	r.Traces.Noise = "fold"             // as is the default
	r.Others = e2etest.Settings{"engine": engine}
	return e2etest.Exporting(r, endpoint, "traces", "metrics")
}

// refusal is why a program cannot be followed.
type refusal struct{ reason string }

func (r *refusal) Error() string { return "the collector cannot follow the server: " + r.reason }

// follow reads what a collector logs, to its end, and tells once whether it follows a program.
func follow(log io.Reader, told chan<- error) {
	tell := func(err error) {
		select {
		case told <- err:
		default: // it has been told
		}
	}
	var all strings.Builder
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(&all, line)
		switch {
		case strings.Contains(line, "Following process"):
			tell(nil)
		case strings.Contains(line, "Process cannot be followed"), strings.Contains(line, "No process can be followed"):
			tell(&refusal{reason(line)})
		}
	}
	tell(fmt.Errorf("the collector has ended:\n%s", all.String()))
}

// reason returns the error of a line of the collector's log, which ends with fields as JSON.
func reason(line string) string {
	var fields struct{ Error string }
	if err := json.Unmarshal([]byte(line[strings.LastIndexByte(line, '\t')+1:]), &fields); err != nil || fields.Error == "" {
		return line
	}
	return fields.Error
}

// stop ends a collector when it has exported all.
func (c *collector) stop() error {
	defer c.backend.Stop()
	if err := end(c.Cmd); err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	return nil
}

// end ends a process, as a service manager does.
func end(cmd *exec.Cmd) error {
	if cmd.ProcessState != nil {
		return nil
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return cmd.Wait()
}
