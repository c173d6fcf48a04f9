// Program workload does one kind of thing as often as it can, for as many seconds as it is told to.
//
// It writes "ready", or the address at which it listens, and waits for a line on its standard input. Then it works for as many seconds as
// the third argument says, works on for the time that is measured, which is the second, and writes how many operations that were, how many
// seconds they took, how many seconds of processor time, and how many operations there were in all. With a fourth argument it writes its
// runtime's trace to that file meanwhile. The server ends when it is told to.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/trace"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var kinds = map[string]func(ops *uint64){
	"pingpong": pingPong,
	"spawn":    spawn,
	"mutex":    mutex,
	"files":    files,
}

func main() {
	if len(os.Args) > 4 {
		f, err := os.Create(os.Args[4])
		check(err)
		check(trace.Start(f))
		defer trace.Stop()
	}
	if os.Args[1] == "http" {
		serve()
		return
	}
	measured, before := duration(os.Args[2]), duration(os.Args[3])
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	var ops uint64
	go kinds[os.Args[1]](&ops)
	time.Sleep(before)
	n, cpu, begin := atomic.LoadUint64(&ops), processorTime(), time.Now()
	time.Sleep(measured)
	n, cpu = atomic.LoadUint64(&ops)-n, processorTime()-cpu
	fmt.Println(n, time.Since(begin).Seconds(), cpu.Seconds(), atomic.LoadUint64(&ops))
}

func duration(seconds string) time.Duration {
	s, err := strconv.ParseFloat(seconds, 64)
	check(err)
	return time.Duration(s * float64(time.Second))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pingPong is the worst case: goroutines that do nothing but wake each other, on one processor.
func pingPong(ops *uint64) {
	runtime.GOMAXPROCS(1)
	ping, pong := make(chan int), make(chan int)
	go func() {
		for x := range ping {
			pong <- x
		}
	}()
	for {
		ping <- 1
		<-pong
		atomic.AddUint64(ops, 1)
	}
}

// spawn creates goroutines, a hundred at a time.
func spawn(ops *uint64) {
	var group sync.WaitGroup
	for {
		group.Add(100)
		for i := 0; i < 100; i++ {
			go group.Done()
		}
		group.Wait()
		atomic.AddUint64(ops, 100)
	}
}

// mutex is a convoy: whoever has the mutex does some work, and many want it.
func mutex(ops *uint64) {
	var mu sync.Mutex
	for i := 0; i < 8; i++ {
		go func() {
			for {
				mu.Lock()
				for end := time.Now().Add(20 * time.Microsecond); time.Now().Before(end); {
				}
				mu.Unlock()
				atomic.AddUint64(ops, 1)
				runtime.Gosched()
			}
		}()
	}
}

// files reads a file again and again, with five system calls each time.
func files(ops *uint64) {
	for i := 0; i < 4; i++ {
		go func() {
			block := make([]byte, 16<<10)
			for {
				f, err := os.Open("/proc/self/exe")
				check(err)
				f.Read(block)
				f.Close()
				atomic.AddUint64(ops, 1)
			}
		}()
	}
}

func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(l.Addr())
	body := make([]byte, 1024)
	check(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })))
}
