package ring

// The generic timer ticks from 1 to 1000 times in a microsecond.
var (
	holeTicks = 4 * frequency()
	maxWidth  = uint64(firstInterval.Seconds() * maxDrift * float64(frequency()))
)

// frequency reads how often the generic timer ticks in a second.
func frequency() uint64
