//go:generate sh tools/mdatagen.sh

// Package goroutinereceiver is a receiver for the OpenTelemetry Collector that follows the goroutines of running, unmodified Go
// programs with eBPF uprobes and tells of them as spans, metrics and logs.
package goroutinereceiver
