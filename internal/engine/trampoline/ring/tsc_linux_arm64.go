package ring

import "time"

// firstInterval is that long as an emulated processor takes a tenth of a millisecond to read all clocks of a pair.
const firstInterval = 300 * time.Millisecond

// The generic timer ticks from 1 to 1000 times in a microsecond.
var (
	holeTicks = 4 * frequency()
	maxWidth  = uint64(firstInterval.Seconds() * maxDrift * float64(frequency()))
)

// frequency reads how often the generic timer ticks in a second.
func frequency() uint64
