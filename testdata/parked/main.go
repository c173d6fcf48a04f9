// Program parked makes ten kinds of goroutines wait for ever, as many of each as its argument says, and writes its own profile of
// goroutines: a line with its number of lines, and the profile. At a line on its standard input it lets those go on that receive.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
)

var (
	channel   = make(chan int)
	full      = make(chan int)
	never     chan int
	mutex     sync.Mutex
	shared    sync.RWMutex
	group     sync.WaitGroup
	condition = sync.NewCond(new(sync.Mutex))
	listener  net.Listener
)

func main() {
	n, err := strconv.Atoi(os.Args[1])
	check(err)
	listener, err = net.Listen("tcp", "127.0.0.1:0")
	check(err)
	mutex.Lock()
	shared.Lock()
	group.Add(1)
	for i := 0; i < n; i++ {
		go receives()
		go sends()
		go selects()
		go receivesNil()
		go locks()
		go locksShared()
		go waitsGroup()
		go waitsCondition()
		go sleeps()
		go accepts()
	}
	time.Sleep(500 * time.Millisecond)
	var profile bytes.Buffer
	check(pprof.Lookup("goroutine").WriteTo(&profile, 2))
	fmt.Println(bytes.Count(profile.Bytes(), []byte("\n")))
	os.Stdout.Write(profile.Bytes())
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	close(channel)
	in.ReadString('\n')
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func receives() { <-channel }
func sends()    { full <- 1 }
func selects() {
	select {
	case <-channel:
	case full <- 1:
	}
}
func receivesNil() { <-never }
func locks()       { mutex.Lock() }
func locksShared() { shared.RLock() }
func waitsGroup()  { group.Wait() }
func sleeps()      { time.Sleep(time.Hour) }
func accepts()     { listener.Accept() }

func waitsCondition() {
	condition.L.Lock()
	condition.Wait()
}
