//go:build linux

package goroutinereceiver

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/scraper/scrapererror"

	"github.com/otelgoroutine/goroutinereceiver/internal/outlet"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// scripted is a source that tells what it is told to.
type scripted struct {
	source
	figures []telemetry.ProcessStats
	err     error
}

func (s *scripted) Collect(context.Context) ([]telemetry.ProcessStats, error) {
	return s.figures, s.err
}

func TestOneProcessDoesNotCostAnotherItsMetrics(t *testing.T) {
	broken := errors.Join(errors.New("process 7: forged"), errors.New("process 8: forged"))
	s := sharedWith(t, &scripted{figures: []telemetry.ProcessStats{{Process: aProcess()}}, err: broken}, consumertest.NewNop())
	defer s.outlet.Shutdown(t.Context())
	made, err := s.scrape(t.Context())
	require.EqualError(t, err, broken.Error())
	var partial scrapererror.PartialScrapeError
	require.ErrorAs(t, err, &partial, "the controller throws all away")
	assert.Equal(t, 2, partial.Failed)
	assert.Equal(t, 1, made.ResourceMetrics().Len())
}

// A pipeline that refuses log records does not cost the collection.
func TestRefusedLogRecordsDoNotCostTheMetrics(t *testing.T) {
	refuses, err := consumer.NewLogs(func(context.Context, plog.Logs) error { return errors.New("not now") })
	require.NoError(t, err)
	site := waitstats.Site{Reason: 1}
	blocked := telemetry.ProcessStats{Process: aProcess(), Changes: waitstats.Changes{Began: []waitstats.Blocked{{Site: site, Count: 1}}}}
	s := sharedWith(t, &scripted{figures: []telemetry.ProcessStats{blocked}}, nil)
	s.nextLogs = refuses
	s.outlet = outlet.New(outlet.Options{Logs: refuses, Report: s.obs, Logger: s.set.Logger})
	defer s.outlet.Shutdown(t.Context())
	made, err := s.scrape(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, made.ResourceMetrics().Len())
}

// The last figures of a process come once. A pipeline that refuses them gets them again, one that has taken them does not.
func TestLastFiguresAreKeptUntilTheyAreTaken(t *testing.T) {
	source := &scripted{figures: []telemetry.ProcessStats{{Process: aProcess()}, {Process: aProcess(), Last: true}}}
	s := sharedWith(t, source, consumertest.NewNop())
	defer s.outlet.Shutdown(t.Context())
	var taken []int
	refuse := true
	next, err := consumer.NewMetrics(func(_ context.Context, metrics pmetric.Metrics) error {
		if refuse {
			return errors.New("not now")
		}
		taken = append(taken, metrics.ResourceMetrics().Len())
		return nil
	})
	require.NoError(t, err)
	collect := func() error {
		made, err := s.scrape(t.Context())
		require.NoError(t, err)
		return collections{next, t.Context(), s}.ConsumeMetrics(t.Context(), made)
	}
	require.Error(t, collect())
	source.figures, refuse = source.figures[:1], false
	require.NoError(t, collect())
	require.NoError(t, collect())
	assert.Equal(t, []int{2, 1}, taken)
}
