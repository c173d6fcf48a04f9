//go:build !linux

package goroutinereceiver

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

var errNotLinux = errors.New("the receiver follows processes of Linux only: run this collector there, or take the receiver out of its pipelines")

// config takes any configuration: what it says matters on Linux only. It is not called Config, as the schema is read from the comments of all files.
type config struct{}

// Unmarshal implements confmap.Unmarshaler.
func (*config) Unmarshal(*confmap.Conf) error { return nil }

func createDefaultConfig() component.Config { return &config{} }

type factory struct{}

func newFactory() factory { return factory{} }

func (factory) traces(context.Context, receiver.Settings, component.Config, consumer.Traces) (receiver.Traces, error) {
	return nil, errNotLinux
}

func (factory) metrics(context.Context, receiver.Settings, component.Config, consumer.Metrics) (receiver.Metrics, error) {
	return nil, errNotLinux
}

func (factory) logs(context.Context, receiver.Settings, component.Config, consumer.Logs) (receiver.Logs, error) {
	return nil, errNotLinux
}
