//go:build linux

// Package cpuusage tells how much processor time a process got, and what kept it from more: other threads on the machine's CPUs, or the quotas
// of its control groups. All that it reads the kernel keeps anyway: nothing is attached, and the process is not slowed.
package cpuusage

import (
	"fmt"
	"sync"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// Usage is what a process got, or did not get, in a time.
type Usage struct {
	// User and System are the processor time that it used in its own code and in the kernel, in steps of 10 ms, all its threads included.
	User, System time.Duration
	// RunQueue is for how long its threads were ready to run and waited for a CPU, or for a quota to be refilled. It is 0 if the kernel does not
	// tell, as RunQueueKnown says.
	RunQueue      time.Duration
	RunQueueKnown bool
	// Throttling is what quotas did, nil if no control group of the process can be read.
	Throttling *Throttling
}

// Meter reads what a process used since it was made. It is safe for concurrent use.
type Meter struct {
	process processes.Process

	mu           sync.Mutex
	begun        bool
	user, system time.Duration // when it was made
	queues       runQueues
	quotas       quotas
	last         *Usage
}

// NewMeter returns a Meter of a process.
func NewMeter(p processes.Process) *Meter {
	m := &Meter{process: p, quotas: quotas{hierarchies: hierarchies()}}
	m.Read()
	return m
}

// Read returns what the process has used by now. Of one that has ended it is what was read last, nil if nothing ever was: what it used after
// that is not known, nor is how long a thread waited after the last reading before its end.
func (m *Meter) Read() *Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	user, system, err := m.process.CPUTimes()
	if err != nil {
		return m.last
	}
	if !m.begun {
		m.user, m.system, m.begun = user, system, true
	}
	m.queues.read(fmt.Sprintf("/proc/%d/task", m.process.PID))
	now := Usage{User: user - m.user, System: system - m.system, RunQueue: m.queues.waited, RunQueueKnown: m.queues.known}
	if groups := m.process.Cgroups(); len(groups) > 0 { // else it has just ended
		m.quotas.read(groups)
	}
	if m.quotas.known {
		throttling := m.quotas.sum
		now.Throttling = &throttling
	}
	m.last = &now
	return m.last
}

// Last returns what Read returned last.
func (m *Meter) Last() *Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}
