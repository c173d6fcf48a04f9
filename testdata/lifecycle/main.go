// Program lifecycle makes goroutines do all that a goroutine can, while it writes the runtime's own trace of the same seconds.
//
// It waits for a line on its standard input before it begins, so that probes can be attached, and for another before it ends; each time
// it writes on its standard output how many goroutines the runtime counts, and "done" at its end.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/trace"
	"sync"
	"time"
)

func main() {
	in := bufio.NewReader(os.Stdin)
	for i := 0; i < 3; i++ {
		go parked()
	}
	time.Sleep(10 * time.Millisecond)
	fmt.Println("goroutines", runtime.NumGoroutine())
	in.ReadString('\n')

	f, err := os.Create(os.Args[1])
	check(err)
	check(trace.Start(f))
	time.Sleep(20 * time.Millisecond)
	all()
	time.Sleep(20 * time.Millisecond)
	trace.Stop()
	check(f.Close())

	time.Sleep(50 * time.Millisecond)
	fmt.Println("goroutines", runtime.NumGoroutine())
	in.ReadString('\n')
	fmt.Println("done")
}

// parked goroutines exist before the probes do and never end.
func parked() {
	select {}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// group waits for the kinds.
var group sync.WaitGroup

// all runs every kind once, each in a goroutine that starts in its function, and then them together.
func all() {
	kinds := []func(){
		mutexes, selects, timers, network, files, yields, collections, panics, goexits, lockedThread, channels, conditions, spawnTree, syscalls, computes,
	}
	kinds = append(kinds, newer...)
	for _, kind := range kinds {
		group.Add(1)
		go kind()
		group.Wait()
	}
	for _, kind := range kinds {
		group.Add(1)
		go kind()
	}
	group.Wait()
}

func mutexes() {
	defer group.Done()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go lockMutex(&mu, &wg)
	}
	wg.Wait()
}

func lockMutex(mu *sync.Mutex, wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 5; i++ {
		mu.Lock()
		time.Sleep(300 * time.Microsecond)
		mu.Unlock()
	}
}

func selects() {
	defer group.Done()
	a, b, quit := make(chan int), make(chan int), make(chan bool)
	go selectLoop(a, b, quit)
	for i := 0; i < 20; i++ {
		if i%4 == 0 {
			time.Sleep(500 * time.Microsecond)
		}
		select {
		case a <- i:
		case b <- i:
		}
	}
	close(quit)
}

func selectLoop(a, b chan int, quit chan bool) {
	for {
		select {
		case <-a:
		case <-b:
		case <-quit:
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func timers() {
	defer group.Done()
	<-time.After(2 * time.Millisecond)
	done := make(chan bool)
	time.AfterFunc(time.Millisecond, func() { close(done) })
	<-done
	t := time.NewTicker(500 * time.Microsecond)
	for i := 0; i < 5; i++ {
		<-t.C
	}
	t.Stop()
	time.Sleep(time.Millisecond)
}

func network() {
	defer group.Done()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go echo(l)
	c, err := net.Dial("tcp", l.Addr().String())
	check(err)
	buf := make([]byte, 64)
	for i := 0; i < 10; i++ {
		_, err = c.Write([]byte("hello"))
		check(err)
		_, err = c.Read(buf)
		check(err)
	}
	c.Close()
	l.Close()
}

func echo(l net.Listener) {
	c, err := l.Accept()
	check(err)
	io.Copy(c, c)
	c.Close()
}

func files() {
	defer group.Done()
	f, err := os.CreateTemp("", "lifecycle")
	check(err)
	defer os.Remove(f.Name())
	for i := 0; i < 20; i++ {
		_, err = f.Write(make([]byte, 4096))
		check(err)
	}
	check(f.Sync())
	check(f.Close())
}

func yields() {
	defer group.Done()
	for i := 0; i < 50; i++ {
		runtime.Gosched()
	}
}

var garbage []*[256]*int

// collections makes enough garbage for several cycles of the collector. It does not call runtime.GC, which yields after each span that
// it sweeps: thousands of changes of state, each shorter than the probe that sees it.
func collections() {
	defer group.Done()
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	for i := 0; i < 10000; i++ {
		garbage = append(garbage, new([256]*int))
		if len(garbage) > 2000 {
			garbage = nil
		}
	}
}

func panics() {
	defer group.Done()
	var wg sync.WaitGroup
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go recovered(&wg)
	}
	wg.Wait()
}

func recovered(wg *sync.WaitGroup) {
	defer wg.Done()
	defer func() { recover() }()
	panic("on purpose")
}

func goexits() {
	defer group.Done()
	var wg sync.WaitGroup
	wg.Add(1)
	go exits(&wg)
	wg.Wait()
}

func exits(wg *sync.WaitGroup) {
	defer wg.Done()
	runtime.Goexit()
}

func lockedThread() {
	defer group.Done()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := 0; i < 5; i++ {
		time.Sleep(200 * time.Microsecond)
		runtime.Gosched()
	}
}

func channels() {
	defer group.Done()
	c := make(chan int)
	done := make(chan bool)
	go receive(c, done)
	for i := 0; i < 50; i++ {
		c <- i
	}
	close(c)
	<-done
}

func receive(c chan int, done chan bool) {
	for range c {
	}
	done <- true
}

func conditions() {
	defer group.Done()
	var mu sync.Mutex
	cond := sync.NewCond(&mu)
	ready := false
	go func() {
		time.Sleep(time.Millisecond)
		mu.Lock()
		ready = true
		mu.Unlock()
		cond.Broadcast()
	}()
	mu.Lock()
	for !ready {
		cond.Wait()
	}
	mu.Unlock()
	var rw sync.RWMutex
	rw.Lock()
	done := make(chan bool)
	go func() {
		rw.RLock()
		rw.RUnlock()
		close(done)
	}()
	time.Sleep(500 * time.Microsecond)
	rw.Unlock()
	<-done
}

func spawnTree() {
	defer group.Done()
	var wg sync.WaitGroup
	wg.Add(1)
	go branch(3, &wg)
	wg.Wait()
}

func branch(depth int, wg *sync.WaitGroup) {
	defer wg.Done()
	if depth == 0 {
		return
	}
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go branch(depth-1, wg)
	}
}

func computes() {
	defer group.Done()
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go compute(&wg)
	}
	wg.Wait()
}

func compute(wg *sync.WaitGroup) {
	defer wg.Done()
	n := 0
	for start := time.Now(); time.Since(start) < 30*time.Millisecond; {
		for i := 0; i < 1e5; i++ {
			n += i ^ n
		}
	}
	runtime.KeepAlive(n)
}
