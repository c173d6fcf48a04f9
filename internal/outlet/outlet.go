// Package outlet hands spans and log records to the next components of the collector, and never makes those wait who see goroutines.
package outlet

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"
)

// Capacity is how many spans, and how many log records, may wait for the pipeline or be on their way through it. What is more is
// refused and counted.
const Capacity = 32 << 10

// Options say where data goes, and how.
type Options struct {
	// Traces and Logs take the data; nil where no pipeline takes the signal.
	Traces consumer.Traces
	Logs   consumer.Logs
	// Retry says whether and how data is offered again that the pipeline did not take.
	Retry  configretry.BackOffConfig
	Report *receiverhelper.ObsReport
	Logger *zap.Logger
}

// Outlet has a queue for each signal, and a goroutine that offers its data to the pipeline, so that neither waits for the other. Its
// methods are safe for concurrent use and, but for Shutdown, never wait.
type Outlet struct {
	traces *queue[ptrace.Traces]
	logs   *queue[plog.Logs]
}

// New returns an Outlet whose goroutines run until Shutdown.
func New(o Options) *Outlet {
	out := &Outlet{}
	if o.Traces != nil {
		out.traces = newQueue(tracesTo(o.Traces, o.Report), o.Retry, o.Logger)
	}
	if o.Logs != nil {
		out.logs = newQueue(logsTo(o.Logs, o.Report), o.Retry, o.Logger)
	}
	return out
}

// Traces takes spans, which belong to the Outlet from then on. Without a pipeline for them it does nothing.
func (o *Outlet) Traces(t ptrace.Traces) { o.traces.add(t) }

// Logs takes log records, which belong to the Outlet from then on. Without a pipeline for them it does nothing.
func (o *Outlet) Logs(l plog.Logs) { o.logs.add(l) }

// Busy tells whether more than half as much waits as may, or the pipeline has refused data in the last second: then less should be begun that
// would make more. Data that the pipeline will never take, as it says, does not count.
func (o *Outlet) Busy() bool { return o.traces.busy() || o.logs.busy() }

// Shutdown hands over what waits, as long as ctx allows, and then gives up the rest, which counts as refused. What is offered later is
// refused. It does not wait for a consumer that ignores the end of its context.
func (o *Outlet) Shutdown(ctx context.Context) {
	var closing sync.WaitGroup
	closing.Go(func() { o.traces.shutdown(ctx) })
	closing.Go(func() { o.logs.shutdown(ctx) })
	closing.Wait()
}
