//go:build linux

package main

import (
	"fmt"
	"log"
	"os/exec"
	"slices"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

// collector follows the program with the built collector and some settings.
func collector(settings ...string) func(*bench) (*attached, error) {
	return func(b *bench) (*attached, error) {
		address, err := e2etest.FreeAddress()
		if err != nil {
			return nil, err
		}
		config, err := b.collectorConfig(address, settings)
		if err != nil {
			return nil, err
		}
		file, err := config.Write(b.dir)
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(b.collector, "--config", file)
		var said e2etest.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		a, err := running(cmd, func() bool { return said.Has(e2etest.Ready) })
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, &said)
		}
		a.said = &said
		a.ready = func() error {
			if slices.Contains(settings, snapshotMode) {
				return nil
			}
			return eventually(func() bool { return said.Has("Following process") })
		}
		own := func(metric string) int64 {
			sum, err := e2etest.OwnMetric(address, "otelcol_receiver_goroutine_"+metric)
			if err != nil {
				log.Print(err)
			}
			return int64(sum)
		}
		a.lost = func() int64 { return own("events_lost") }
		a.changes = func() int64 {
			if err := eventually(func() bool { return own("targets") == 0 }); err != nil {
				log.Print(err)
			}
			return own("transitions")
		}
		return a, nil
	}
}

// collectorConfig returns a configuration with settings of the receiver, in which the collector serves its own metrics at an address. It
// exports to the backend if there is one.
func (b *bench) collectorConfig(address string, settings []string) (*e2etest.Config, error) {
	receiver := e2etest.Receiver{CollectionInterval: time.Second, Targets: []e2etest.Target{{Executable: b.workload}}}
	for _, s := range append(slices.Clone(settings), b.config) {
		if err := receiver.Set(s); err != nil {
			return nil, err
		}
	}
	pipelines := []string{"metrics"}
	if !slices.Contains(settings, snapshotMode) && !slices.Contains(settings, noTraces) {
		pipelines = append(pipelines, "traces")
	}
	config := e2etest.NewConfig(receiver)
	if b.backend != nil {
		config.Export(e2etest.OTLPExporter, e2etest.OTLP(b.backend.Endpoint()), pipelines...)
	} else {
		config.Export("debug", e2etest.Settings{"verbosity": "basic", "sampling_initial": 1, "sampling_thereafter": 1000000}, pipelines...)
	}
	return config, config.ServeOwnMetrics(address)
}
