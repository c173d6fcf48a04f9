//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/output"
)

// collectorConfig is given the executable, settings of the receiver, and the port at which the collector tells of itself.
const collectorConfig = `
receivers:
  goroutine:
    collection_interval: 1s
    initial_delay: 0s
    targets: [{executable: %q}]
%s
exporters:
  debug: {verbosity: basic, sampling_initial: 1, sampling_thereafter: 1000000}
service:
  telemetry:
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]}
  pipelines:
    metrics: {receivers: [goroutine], exporters: [debug]}
%s`

const tracesPipeline = `    traces: {receivers: [goroutine], exporters: [debug]}
`

// collector follows the program with the built collector and some settings.
func collector(settings ...string) func(*bench) (*attached, error) {
	return func(b *bench) (*attached, error) {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		var lines []string
		for _, s := range append(slices.Clone(settings), b.config) {
			if s != "" {
				lines = append(lines, "    "+s)
			}
		}
		isSnapshot := slices.Contains(settings, snapshotMode)
		traces := tracesPipeline
		if isSnapshot || slices.Contains(settings, noTraces) {
			traces = ""
		}
		file := filepath.Join(b.dir, "config.yaml")
		config := fmt.Sprintf(collectorConfig, b.workload, strings.Join(lines, "\n"), port, traces)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, err
		}
		cmd := exec.Command(b.collector, "--config", file)
		var said output.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		a, err := running(cmd, func() bool { return said.Has("Everything is ready") })
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, &said)
		}
		a.ready = func() error {
			if isSnapshot {
				return nil
			}
			return eventually(func() bool { return said.Has("Following process") })
		}
		a.lost = func() int64 { return health(port, "otelcol_receiver_goroutine_events_lost") }
		return a, nil
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// health returns the sum of one of the collector's own metrics.
func health(port int, metric string) (sum int64) {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, metric) {
			fields := strings.Fields(line)
			n, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
			sum += int64(n)
		}
	}
	return sum
}
