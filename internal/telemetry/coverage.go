//go:build linux

package telemetry

import "time"

// Coverage is how much of a process was seen, in sums that only grow.
type Coverage struct {
	// Elapsed is the time that has passed, Attached that with probes.
	Elapsed, Attached time.Duration
	// Traced is that with probes, multiplied by the part of the trees that was sampled of those that the configuration asks for.
	Traced time.Duration
}

// since takes what the sums are now, and returns the shares of the time since the call before. If no time has passed, all was seen.
func (c *Coverage) since(now Coverage) (attached, traced float64) {
	passed := (now.Elapsed - c.Elapsed).Seconds()
	attached, traced = (now.Attached-c.Attached).Seconds()/passed, (now.Traced-c.Traced).Seconds()/passed
	*c = now
	if passed <= 0 {
		return 1, 1
	}
	return attached, traced
}
