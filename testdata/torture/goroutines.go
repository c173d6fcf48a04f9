package main

import (
	"math/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	add("pass", pass)
	add("spawn", spawn)
	add("mutexes", mutexes)
	add("selects", selects)
	add("timers", timers)
	add("threads", threads)
	add("panics", panics)
}

// pass hands numbers through a pipeline that changes them.
func pass() {
	const stages, numbers, factor = 8, 200, 2654435761
	first := make(chan uint32)
	last := first
	for i := uint32(0); i < stages; i++ {
		from, to, i := last, make(chan uint32, i%3), i
		go func() {
			for x := range from {
				to <- x*factor + i
			}
			close(to)
		}()
		last = to
	}
	seed := rand.Uint32()
	go func() {
		for i := uint32(0); i < numbers; i++ {
			first <- seed + i
		}
		close(first)
	}()
	n := uint32(0)
	for x := range last {
		want := seed + n
		for s := uint32(0); s < stages; s++ {
			want = want*factor + s
		}
		if x != want {
			wrong("pass %d %d", x, want)
		}
		n++
	}
	if n != numbers {
		wrong("pass %d", n)
	}
}

func spawn() {
	const n = 200
	var all sync.WaitGroup
	var sum int64
	for i := int64(1); i <= n; i++ {
		i := i
		all.Add(1)
		go func() {
			atomic.AddInt64(&sum, i)
			all.Done()
		}()
	}
	all.Wait()
	if sum != n*(n+1)/2 {
		wrong("spawn %d", sum)
	}
}

func mutexes() {
	const goroutines, times = 8, 200
	var mu sync.RWMutex
	var all sync.WaitGroup
	a, b := 0, 0
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := 0; j < times; j++ {
				mu.Lock()
				a++
				if j%10 == 0 {
					runtime.Gosched()
				}
				b++
				mu.Unlock()
				mu.RLock()
				if a != b {
					wrong("mutexes %d %d", a, b)
				}
				mu.RUnlock()
			}
		}()
	}
	all.Wait()
	if a != goroutines*times {
		wrong("mutexes %d", a)
	}
}

func selects() {
	const times = 300
	a, b, done := make(chan int), make(chan int), make(chan bool)
	go func() {
		for i := 0; i < times; i++ {
			select {
			case a <- 1:
			case b <- 1:
			}
		}
		close(done)
	}()
	for n := 0; ; {
		select {
		case x := <-a:
			n += x
		case x := <-b:
			n += x
		case <-done:
			if n != times {
				wrong("selects %d", n)
			}
			return
		}
	}
}

func timers() {
	const times = 50
	var all sync.WaitGroup
	var fired int32
	for i := 0; i < times; i++ {
		all.Add(1)
		time.AfterFunc(time.Duration(rand.Intn(3000))*time.Microsecond, func() {
			atomic.AddInt32(&fired, 1)
			all.Done()
		})
	}
	all.Wait()
	if fired != times {
		wrong("timers %d", fired)
	}
}

// threads ends threads: that of a goroutine which ends while it is locked to it.
func threads() {
	const times = 10
	sum := make(chan int)
	for i := 0; i < times; i++ {
		go func() {
			runtime.LockOSThread()
			sum <- 1
		}()
	}
	n := 0
	for i := 0; i < times; i++ {
		n += <-sum
	}
	if n != times {
		wrong("threads %d", n)
	}
}

// panics lets panics go through deferred functions, and has the runtime make some of faults.
func panics() {
	const depth = 20
	done := make(chan int)
	go func() {
		defer func() { done <- recovered(recover()) }()
		fall(depth)
	}()
	if n := <-done; n != depth {
		wrong("panics %d", n)
	}
	go func() {
		defer func() { done <- recovered(recover()) }()
		var p *int
		*p = 1
	}()
	if n := <-done; n != -1 {
		wrong("fault %d", n)
	}
}

func recovered(e interface{}) int {
	if n, ok := e.(int); ok {
		return n
	}
	return -1
}

func fall(n int) {
	defer func() {
		if e := recover(); e != nil {
			panic(e.(int) + 1)
		}
	}()
	if n == 1 {
		panic(0)
	}
	fall(n - 1)
}
