// Program latencies lets goroutines wait for processors and for a mutex, and tells what its own runtime has measured of that.
//
// It waits for a line on its standard input before it begins. Then it writes a line of JSON, at rest, and waits for another.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	workers = 64
	rounds  = 400
	parked  = 50
)

// Told is what the runtime has measured.
type Told struct {
	// Goroutines are how many there are, those of the runtime itself left out, and then with those, all and by state.
	Goroutines                               int
	All, Waiting, Runnable, Running, NotInGo uint64
	// MutexWait is the time that goroutines waited for mutexes, in seconds.
	MutexWait float64
	// Buckets are the bounds, in seconds, of the times that goroutines waited for processors, Counts how many are between them.
	Buckets []float64
	Counts  []uint64
}

func main() {
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	var mu sync.Mutex
	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go work(&mu, &group)
	}
	group.Wait()
	for range parked {
		go park()
	}
	time.Sleep(100 * time.Millisecond)
	json.NewEncoder(os.Stdout).Encode(tell())
	in.ReadString('\n')
}

func park() { select {} }

// work computes in turns, so that each waits for a processor as long as all others that run take.
func work(mu *sync.Mutex, group *sync.WaitGroup) {
	defer group.Done()
	for i := range rounds {
		compute(20 * time.Microsecond)
		runtime.Gosched()
		if i%4 == 0 {
			mu.Lock()
			compute(20 * time.Microsecond)
			mu.Unlock()
		}
	}
}

func compute(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

func tell() Told {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines/waiting:goroutines"},
		{Name: "/sched/goroutines/runnable:goroutines"},
		{Name: "/sched/goroutines/running:goroutines"},
		{Name: "/sched/goroutines/not-in-go:goroutines"},
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/sync/mutex/wait/total:seconds"},
		{Name: "/sched/latencies:seconds"},
	}
	metrics.Read(samples)
	latencies := samples[6].Value.Float64Histogram()
	return Told{
		Goroutines: runtime.NumGoroutine(),
		Waiting:    samples[0].Value.Uint64(), Runnable: samples[1].Value.Uint64(), Running: samples[2].Value.Uint64(),
		NotInGo: samples[3].Value.Uint64(), All: samples[4].Value.Uint64(), MutexWait: samples[5].Value.Float64(),
		Buckets: latencies.Buckets[1 : len(latencies.Buckets)-1], // the outer ones are infinite
		Counts:  latencies.Counts[1 : len(latencies.Counts)-1],
	}
}
