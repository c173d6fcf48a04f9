//go:build linux

package e2etest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Settings are those of a component, as YAML has them.
type Settings map[string]any

// Config is the configuration of a collector.
type Config struct {
	Receivers  map[string]any      `yaml:"receivers"`
	Processors map[string]Settings `yaml:"processors,omitempty"`
	Exporters  map[string]Settings `yaml:"exporters"`
	Extensions map[string]Settings `yaml:"extensions,omitempty"`
	Service    Service             `yaml:"service"`
}

// Service is the section of a Config that connects the components.
type Service struct {
	Extensions []string             `yaml:"extensions,omitempty"`
	Telemetry  Settings             `yaml:"telemetry,omitempty"`
	Pipelines  map[string]*Pipeline `yaml:"pipelines"`
}

// Pipeline names the components that a signal passes.
type Pipeline struct {
	Receivers  []string `yaml:"receivers,flow"`
	Processors []string `yaml:"processors,flow,omitempty"`
	Exporters  []string `yaml:"exporters,flow"`
}

// Receiver are settings of the receiver; what is nil or empty keeps its default.
type Receiver struct {
	Mode               string                `yaml:"mode,omitempty"`
	CollectionInterval time.Duration         `yaml:"collection_interval,omitempty"`
	InitialDelay       time.Duration         `yaml:"initial_delay"`
	Targets            []Target              `yaml:"targets"`
	Overhead           *Overhead             `yaml:"overhead,omitempty"`
	Traces             *Traces               `yaml:"traces,omitempty"`
	Syscalls           *bool                 `yaml:"syscalls,omitempty"`
	Logs               Settings              `yaml:"logs,omitempty"`
	Blocked            Settings              `yaml:"blocked,omitempty"`
	StartFunctions     Settings              `yaml:"start_functions,omitempty"`
	Retry              Settings              `yaml:"retry_on_failure,omitempty"`
	Attributes         map[string]Attributes `yaml:"metrics,omitempty"` // by the names of metrics
	// Others are further settings.
	Others Settings `yaml:",inline"`
}

// Target names processes by a glob on the path of their executable.
type Target struct {
	Executable string `yaml:"executable"`
}

// Overhead are limits of what probes, and the collector, may take; a budget of 0 is no limit.
type Overhead struct {
	Budget    float64  `yaml:"budget"`
	Floor     *float64 `yaml:"floor,omitempty"`
	Host      *float64 `yaml:"host,omitempty"`
	Collector *float64 `yaml:"collector,omitempty"`
}

// Traces are settings of spans; 0 spans in a second are no limit.
type Traces struct {
	MaxSpansPerSecond int      `yaml:"max_spans_per_second"`
	SamplingRatio     *float64 `yaml:"sampling_ratio,omitempty"`
	Join              bool     `yaml:"join"`
	Noise             string   `yaml:"noise,omitempty"`
	Outlives          string   `yaml:"outlives,omitempty"`
}

// Attributes are those of a metric.
type Attributes struct {
	Names []string `yaml:"attributes,flow"`
}

// Following returns settings with which all is seen of the processes whose executables match a glob, and shown, and collected often.
func Following(executable string) Receiver {
	return Receiver{CollectionInterval: 500 * time.Millisecond, Targets: []Target{{executable}}, Overhead: &Overhead{}, Traces: &Traces{Noise: "keep"}, Logs: Settings{"transitions": true}}
}

// NewConfig returns a configuration with the receiver and without any pipeline. The collector does not serve its own metrics.
func NewConfig(r Receiver) *Config {
	return &Config{
		Receivers: map[string]any{receiver: r},
		Exporters: map[string]Settings{},
		Service:   Service{Telemetry: Settings{"metrics": Settings{"level": "none"}}, Pipelines: map[string]*Pipeline{}},
	}
}

const receiver = "goroutine"

// Signals are all that the receiver has in the mode probes.
var Signals = []string{"traces", "metrics", "logs"}

// SnapshotSignals are all that it has in the mode snapshot.
var SnapshotSignals = []string{"metrics", "logs"}

// Exporting returns a configuration that sends signals of the receiver, or all, to an OTLP endpoint.
func Exporting(r Receiver, endpoint string, signals ...string) *Config {
	if signals == nil {
		signals = Signals
	}
	c := NewConfig(r)
	c.Export(OTLPExporter, OTLP(endpoint), signals...)
	return c
}

// OTLPExporter is the name of the exporter that Exporting makes.
const OTLPExporter = "otlp_grpc"

// OTLP returns the settings of an exporter to an endpoint without TLS.
func OTLP(endpoint string) Settings {
	return Settings{"endpoint": endpoint, "tls": Settings{"insecure": true}}
}

// WithoutQueue returns the settings of an exporter that makes its caller wait for the endpoint.
func WithoutQueue(endpoint string) Settings {
	s := OTLP(endpoint)
	s["sending_queue"] = Settings{"enabled": false}
	return s
}

// Export adds an exporter and pipelines from the receiver to it.
func (c *Config) Export(name string, s Settings, pipelines ...string) {
	c.Exporters[name] = s
	for _, p := range pipelines {
		c.Service.Pipelines[p] = &Pipeline{Receivers: []string{receiver}, Exporters: []string{name}}
	}
}

// Process adds a processor to pipelines that are there, or to all of them.
func (c *Config) Process(name string, s Settings, pipelines ...string) {
	if c.Processors == nil {
		c.Processors = map[string]Settings{}
	}
	c.Processors[name] = s
	for of, p := range c.Service.Pipelines {
		if pipelines == nil || slices.Contains(pipelines, of) {
			p.Processors = append(p.Processors, name)
		}
	}
}

// Extend adds an extension.
func (c *Config) Extend(name string, s Settings) {
	if c.Extensions == nil {
		c.Extensions = map[string]Settings{}
	}
	c.Extensions[name] = s
	c.Service.Extensions = append(c.Service.Extensions, name)
}

// ServeOwnMetrics has the collector serve its own metrics at an address, for OwnMetric.
func (c *Config) ServeOwnMetrics(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("port of %s: %w", address, err)
	}
	prometheus := Settings{"host": host, "port": number}
	c.Service.Telemetry = Settings{"metrics": Settings{"readers": []Settings{{"pull": Settings{"exporter": Settings{"prometheus": prometheus}}}}}}
	return nil
}

// Write writes the configuration to a file in a directory and returns its path.
func (c *Config) Write(dir string) (string, error) {
	data, err := yaml.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("marshal the configuration: %w", err)
	}
	file := filepath.Join(dir, "config.yaml")
	return file, os.WriteFile(file, data, 0o644)
}

// Set adds settings of the receiver, or changes them: a mapping in YAML, such as "overhead: {budget: 0.05}".
func (r *Receiver) Set(settings string) error {
	if err := yaml.Unmarshal([]byte(settings), r); err != nil {
		return fmt.Errorf("settings %q of the receiver: %w", strings.TrimSpace(settings), err)
	}
	return nil
}

// Parse reads a configuration from YAML.
func Parse(data []byte) (*Config, error) {
	c := &Config{}
	if err := yaml.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("parse the configuration: %w", err)
	}
	return c, nil
}
