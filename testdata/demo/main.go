// Program demo runs a sample HTTP server under load, follows its goroutines with the collector and prints what the collector exported.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

const (
	loadDuration = 12 * time.Second
	patience     = 30 * time.Second
)

func main() {
	html := flag.String("html", "", "a file to write a page to, which shows the same in a browser")
	flag.Parse()
	if err := run(*html); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(html string) error {
	dir, err := os.MkdirTemp("", "goroutine-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server := filepath.Join(dir, "server")
	if err := build(server); err != nil {
		return err
	}
	backend, err := e2etest.StartBackend(nil)
	if err != nil {
		return err
	}
	defer backend.Stop()

	// The server runs before the collector does, as in production.
	program := exec.Command(server)
	program.Stderr = os.Stderr
	out, err := program.StdoutPipe()
	if err != nil {
		return err
	}
	if err := program.Start(); err != nil {
		return err
	}
	defer end(program)
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server does not start: %w", err)
	}
	collector, err := startCollector(dir, server, backend.Endpoint())
	if err != nil {
		return err
	}
	fmt.Printf("The server runs as process %d; the collector follows it. Load for %s ...\n", program.Process.Pid, loadDuration)
	ctx, cancel := context.WithTimeout(context.Background(), loadDuration)
	defer cancel()
	requests := load(ctx, "http://"+strings.TrimSpace(address))
	time.Sleep(2 * collectionInterval)
	if err := end(collector); err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	summarize(os.Stdout, backend, requests)
	if html == "" {
		return nil
	}
	return writePicture(html, backend)
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

const (
	collectionInterval = time.Second
	config             = `
receivers:
  goroutine:
    collection_interval: %s
    targets: [{executable: %s}]
    overhead: {budget: 0} # show all of a program that does nothing but answer requests
exporters:
  otlp_grpc:
    endpoint: %s
    tls: {insecure: true}
service:
  telemetry:
    metrics: {level: none}
  pipelines:
    traces: {receivers: [goroutine], exporters: [otlp_grpc]}
    metrics: {receivers: [goroutine], exporters: [otlp_grpc]}
`
)

// startCollector starts the collector and returns when it follows the program.
func startCollector(dir, program, endpoint string) (*exec.Cmd, error) {
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, collectionInterval, program, endpoint), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("bin/otelcol-goroutine", "--config", file)
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	following, failed := make(chan bool), make(chan string, 1)
	go func() {
		var all strings.Builder
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			fmt.Fprintln(&all, lines.Text())
			if strings.Contains(lines.Text(), "Following process") {
				close(following)
			}
		}
		failed <- all.String()
	}()
	select {
	case <-following:
		return cmd, nil
	case text := <-failed:
		return nil, errors.Join(fmt.Errorf("the collector follows nothing:\n%s", text), cmd.Wait())
	case <-time.After(patience):
		err := end(cmd)
		return nil, errors.Join(fmt.Errorf("the collector follows nothing:\n%s", <-failed), err)
	}
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
