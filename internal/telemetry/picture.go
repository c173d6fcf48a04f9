//go:build linux

package telemetry

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// microsecond is the unit in which viewers of traces count. Jaeger rounds the start of a span and its duration down to it. It takes spans for
// consecutive, which is what makes them part of the critical path, only if one ends before the next begins.
const microsecond = pcommon.Timestamp(time.Microsecond)

// life returns the least whole microseconds that contain a goroutine's life, and with it all that happens in it. A segment ends where the
// next begins.
func (r Reading) life(g *lifecycle.Goroutine) (start, end pcommon.Timestamp) {
	start, end = floor(r.Timestamp(g.Start)), r.Timestamp(g.End)
	if g.Ending != lifecycle.SegmentEnd {
		end += microsecond - 1
	}
	return start, max(floor(end), start+microsecond)
}

// between returns the whole microseconds of an interval, of which the last is left free, so that it ends before the next interval begins.
// They are none, or less, if the interval is too short to be seen; of one to which a link leads they are one at least, which may touch the next.
func (r Reading) between(i lifecycle.Interval) (start, end pcommon.Timestamp) {
	start, end = floor(r.Timestamp(i.Start)), floor(r.Timestamp(i.End))-microsecond
	if i.Linked {
		end = max(end, start+microsecond)
	}
	return start, end
}

func floor(t pcommon.Timestamp) pcommon.Timestamp { return t - t%microsecond }
