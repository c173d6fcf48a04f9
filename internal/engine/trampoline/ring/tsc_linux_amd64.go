package ring

// A time-stamp counter ticks some 2 to 5 times in a nanosecond.
const (
	holeTicks = 1 << 34
	maxWidth  = 8192
)
