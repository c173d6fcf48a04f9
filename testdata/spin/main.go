// Program spin has a goroutine that runs, and is never preempted, until there is a line on the standard input. It writes "ready" before and
// "done" after.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
)

func main() {
	if os.Getenv("GODEBUG") == "" { // it tells the runtime not to preempt loops
		check(syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), "GODEBUG=asyncpreemptoff=1")))
	}
	runtime.GOMAXPROCS(2)
	var running, stop atomic.Bool
	go func() {
		running.Store(true)
		for !stop.Load() {
		}
		running.Store(false)
	}()
	for !running.Load() {
		runtime.Gosched()
	}
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	in.ReadString('\n')
	stop.Store(true)
	for running.Load() {
		runtime.Gosched()
	}
	fmt.Println("done")
	in.ReadString('\n')
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
