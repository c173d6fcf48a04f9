//go:build linux

package survey

import (
	"context"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// Look counts the goroutines of a process by looking at its memory. It is not safe for concurrent use.
type Look struct {
	pid     int
	binary  *goexe.Binary
	bias    uint64
	system  map[uint64]bool // start functions
	history waitstats.History
}

// NewLook returns a Look at a process that runs a binary with all addresses bias higher than linked.
func NewLook(pid int, binary *goexe.Binary, bias uint64) *Look {
	l := &Look{pid: pid, binary: binary, bias: bias, system: map[uint64]bool{}}
	for _, pc := range binary.SystemStarts {
		l.system[pc+bias] = true
	}
	return l
}

// patience is for how long a look waits for the memory of a process. A million goroutines take a quarter of a second.
const patience = 2 * time.Second

// Count counts the goroutines that the process has now, but for the runtime's own. One that has waited for longer than blockedAfter is
// blocked: as its runtime says, or as it was found at each Count. It takes no longer than ctx allows. The error wraps unix.ESRCH if there is no
// such process.
func (l *Look) Count(ctx context.Context, blockedAfter time.Duration) (c waitstats.Count, err error) {
	l.history.Begin()
	source := snapshot.Source{PID: l.pid, Binary: l.binary, Bias: l.bias}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = source.Each(ctx, func(g snapshot.Goroutine) error {
		if l.system[g.StartPC] {
			return nil
		}
		r := waitstats.Goroutine{
			G: g.G, GoID: g.GoID, State: g.State, Reason: g.WaitReason, CreationPC: g.CreationPC,
		}
		now := lifecycle.Now()
		l.history.Date(&r, g.WaitSince, now)
		c.Add(r, now-int64(blockedAfter))
		return nil
	})
	l.history.End()
	return c, err
}
