//go:build linux

package ring

// What depends on how often the counter ticks:
//   - firstInterval is how long the first rate is measured.
//   - holeTicks is how long, some seconds, a hole may keep writers from a full ring.
//   - maxWidth is how many ticks may be between the counters before and after the clocks that go with them: what comes between makes a rate over
//     firstInterval wrong by less than maxDrift.

// TSC reads the time-stamp counter, after all that comes before and before all that comes after it in the program.
func TSC() uint64

// auxiliary reads the word that goes with the counter: the number of the NUMA node and, in the lowest 12 bits, of the CPU.
func auxiliary() uint32
