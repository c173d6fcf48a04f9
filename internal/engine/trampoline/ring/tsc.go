//go:build linux

package ring

// TSC reads the time-stamp counter, after all that comes before and before all that comes after it in the program.
func TSC() uint64

// auxiliary reads the word that goes with the counter: the number of the NUMA node and, in the lowest 12 bits, of the CPU.
func auxiliary() uint32
