package ring

import "time"

// A time-stamp counter ticks some 2 to 5 times in a nanosecond.
const (
	firstInterval = 10 * time.Millisecond
	holeTicks     = 1 << 34
	maxWidth      = 8192
)
