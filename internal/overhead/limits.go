package overhead

import "time"

// Limits say what probes may cost.
type Limits struct {
	// Budget is the share of a process's own processor time that they may take. 0 sets no limit of any kind.
	Budget float64
	// Floor is the share of one processor that they may always take of a process, whatever that is of its own processor time.
	Floor float64
	// Host is the share of all the machine's processors that they may take of all processes together; 0 sets no such limit.
	Host float64
}

// leastFloor is what the processes that are not followed are always allowed together, as Floor: a single hit must not cost a program its
// probes.
const leastFloor = 0.001

// ofProcess returns how many seconds probes may take of a process.
func (l Limits) ofProcess(u Usage, elapsed time.Duration) float64 {
	return max(l.Budget*u.CPU.Seconds(), l.Floor*elapsed.Seconds())
}

// ofUnfollowed returns how many seconds they may take of all processes together that are not followed. How much processor time those use
// is not known.
func (l Limits) ofUnfollowed(elapsed time.Duration) float64 {
	return max(l.Floor, leastFloor) * elapsed.Seconds()
}

// Usage is what a process used in a time.
type Usage struct {
	// CPU is its processor time, Cost how much of that the probes took.
	CPU, Cost time.Duration
}

// Observation is what the probes on an executable cost in a time.
type Observation struct {
	Elapsed time.Duration
	// Processes is what each process used that is followed, by its id.
	Processes map[int]Usage
	// Unfollowed is what they cost all processes together that run the executable and are not followed.
	Unfollowed time.Duration
	// Attaching says that in some of the time, probes were being put on or taken away, or processes were yet to be followed that will be: then
	// it is these that Unfollowed tells of, and nothing can be concluded from how little was seen.
	Attaching bool
	// Alternative says that the processes can be seen in a way that costs less. Then what costs too much does not lower the level.
	Alternative bool
}

// attributed returns the observation with what was unfollowed attributed to the processes that are followed, if they were yet to be: by
// the processor time that they used.
func (o Observation) attributed() Observation {
	var all time.Duration
	for _, u := range o.Processes {
		all += u.CPU
	}
	if !o.Attaching || all == 0 {
		return o
	}
	to := make(map[int]Usage, len(o.Processes))
	for pid, u := range o.Processes {
		u.Cost += time.Duration(float64(o.Unfollowed) * float64(u.CPU) / float64(all))
		to[pid] = u
	}
	o.Processes, o.Unfollowed = to, 0
	return o
}

// cost returns what they cost all processes, in seconds.
func (o Observation) cost() float64 {
	sum := o.Unfollowed
	for _, u := range o.Processes {
		sum += u.Cost
	}
	return sum.Seconds()
}
