//go:build linux

package uprobe

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakePrograms run so often in a second, and each time so long.
type fakePrograms struct {
	since    time.Time
	perSec   float64
	takes    time.Duration
	measured []time.Duration // since it began, each time
}

func (f *fakePrograms) hits() (uint64, error) {
	return uint64(time.Since(f.since).Seconds() * f.perSec), nil
}

func (f *fakePrograms) runTimeOf(while time.Duration) (time.Duration, uint64, error) {
	f.measured = append(f.measured, time.Since(f.since))
	time.Sleep(while)
	runs := uint64(while.Seconds() * f.perSec)
	return time.Duration(runs) * f.takes, runs, nil
}

// TestMeasuresOnlyWhatRuns has the kernel measure programs that run often, at growing intervals, and not those that hardly run.
func TestMeasuresOnlyWhatRuns(t *testing.T) {
	for name, test := range map[string]struct {
		perSec    float64
		soon, all int // times in the first 5 seconds and in an hour, at the most
	}{
		"idle":       {0, 0, 0},
		"rarely run": {500, 0, 0},
		"busy":       {100_000, 3, 70},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &fakePrograms{since: time.Now(), perSec: test.perSec, takes: 300 * time.Nanosecond}
				c := &costs{changed: make(chan struct{}, 1), run: 300 * time.Nanosecond}
				done := make(chan struct{})
				go func() { require.NoError(t, c.keepMeasuring(p, done)) }()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				soon := len(p.measured)
				time.Sleep(time.Hour)
				synctest.Wait()
				require.Equal(t, test.soon > 0, soon > 0)
				require.LessOrEqual(t, soon, test.soon)
				require.LessOrEqual(t, len(p.measured), test.all)
				close(done)
				synctest.Wait()
			})
		})
	}
}

// TestMeasuresAgainWhenCostsChange tells of what has changed by itself within the longest interval, and at once if it is told to look.
func TestMeasuresAgainWhenCostsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePrograms{since: time.Now(), perSec: 100_000, takes: 300 * time.Nanosecond}
		c := &costs{changed: make(chan struct{}, 1)}
		done := make(chan struct{})
		go func() { require.NoError(t, c.keepMeasuring(p, done)) }()
		run := func() time.Duration {
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.run
		}
		time.Sleep(time.Hour)
		require.Equal(t, 300*time.Nanosecond, run())
		p.takes = 900 * time.Nanosecond
		c.haveChanged()
		time.Sleep(shortly + 2*measureFor)
		require.Equal(t, 900*time.Nanosecond, run())
		times := len(p.measured)
		for range 100 {
			c.haveChanged()
			time.Sleep(100 * time.Millisecond)
		}
		require.InDelta(t, float64(times)+10/soonest.Seconds(), len(p.measured), 2)
		time.Sleep(time.Hour)
		p.takes = 600 * time.Nanosecond
		time.Sleep(latest + 2*measureFor)
		require.Equal(t, 600*time.Nanosecond, run())
		close(done)
		synctest.Wait()
	})
}
