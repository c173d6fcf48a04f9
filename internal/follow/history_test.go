package follow

import (
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

func TestHistory(t *testing.T) {
	const second = int64(time.Second)
	var did lifecycle.Totals
	did.Counts.Created = 100
	did.Counts.Time[lifecycle.Running] = uint64(second)
	for name, test := range map[string]struct {
		resumed      moment
		created      uint64
		running      time.Duration
		nothingAtAll bool
	}{
		// In the stretch, the program did 0.4 s of its own.
		"as much work":      {resumed: moment{7 * second, 1400 * time.Millisecond}, created: 100, running: 5 * time.Second},
		"no work":           {resumed: moment{7 * second, time.Second}, running: 5 * time.Second},
		"three times as":    {resumed: moment{3 * second, 2200 * time.Millisecond}, created: 300, running: time.Second},
		"the program ended": {resumed: moment{at: 4 * second}, created: 200, running: 2 * time.Second},
		"too long":          {resumed: moment{20 * second, 9 * time.Second}, nothingAtAll: true},
	} {
		t.Run(name, func(t *testing.T) {
			var h history
			h.resume(moment{second, 0})
			if h.estimated != nil {
				t.Fatal("something is estimated of a process that has just been found")
			}
			h.end(did, moment{second, 0}, moment{2 * second, time.Second}, 600*time.Millisecond)
			h.resume(test.resumed)
			if test.nothingAtAll {
				if h.estimated != nil {
					t.Errorf("estimated are %+v", h.estimated)
				}
				return
			}
			n := h.estimated.Counts
			if n.Created != test.created || n.Time[lifecycle.Running] != uint64(test.running) {
				t.Errorf("estimated are %d goroutines and %v, want %d and %v", n.Created, time.Duration(n.Time[lifecycle.Running]), test.created, test.running)
			}
			if h.seen.Counts.Created != 100 {
				t.Errorf("seen are %d", h.seen.Counts.Created)
			}
		})
	}
}
