package goroutinereceiver

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/scraper"
	"go.opentelemetry.io/collector/scraper/scraperhelper"

	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
)

func newFactory() *factory { return &factory{shared: map[*Config]*shared{}} }

func (f *factory) traces(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
	if cfg.(*Config).Mode == modeSnapshot {
		return nil, errors.New("mode: snapshot gives no traces: take the receiver out of the pipelines of traces, or set mode: probes")
	}
	s, err := f.sharedFor(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	s.nextTraces = next
	return s, nil
}

func (f *factory) logs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	s, err := f.sharedFor(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	s.nextLogs = next
	return s, nil
}

func (f *factory) metrics(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
	s, err := f.sharedFor(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	s.hasMetrics = true
	scrape, err := scraper.NewMetrics(s.scrape, scraper.WithStart(s.Start))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	controller, err := scraperhelper.NewMetricsController(&s.config.ControllerConfig, set, collections{next, ctx, s}, scraperhelper.AddMetricsScraper(metadata.Type, scrape))
	return &metricsReceiver{Metrics: controller, cancel: cancel, shared: s}, err
}
