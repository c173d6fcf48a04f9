// Program waits makes goroutines block in all ways that there are, each at a line that says so: "wait: " and the kind.
//
// It waits for a line on its standard input before it begins, and for another before it ends; it writes "done" between them.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// long is for how long a goroutine blocks.
const long = 5 * time.Millisecond

func main() {
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	kinds := []func(){
		chanReceive, chanSend, selects, mutex, rwMutexRead, rwMutexWrite, cond, waitGroup, sleep, timer, netRead, fileRead, systemCall, gcAssist, finalizer,
	}
	for _, kind := range append(kinds, newer...) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			kind()
		}()
		<-ended
	}
	go nilChannel()
	time.Sleep(long)
	fmt.Println("done")
	in.ReadString('\n')
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func chanReceive() {
	c := make(chan int)
	time.AfterFunc(long, func() { close(c) })
	<-c // wait: chan receive
}

func chanSend() {
	c := make(chan int)
	time.AfterFunc(long, func() { <-c })
	c <- 1 // wait: chan send
}

func selects() {
	a, b := make(chan int), make(chan int)
	time.AfterFunc(long, func() { close(b) })
	select { // wait: select
	case <-a:
	case <-b:
	}
}

// store is locked by a function that the compiler inlines.
type store struct {
	mu sync.Mutex
	n  int
}

func (s *store) add() {
	s.mu.Lock() // wait: mutex
	s.n++
	s.mu.Unlock()
}

func mutex() {
	var s store
	s.mu.Lock()
	time.AfterFunc(long, s.mu.Unlock)
	s.add()
}

func rwMutexRead() {
	var mu sync.RWMutex
	mu.Lock()
	time.AfterFunc(long, mu.Unlock)
	mu.RLock() // wait: RWMutex read
}

func rwMutexWrite() {
	var mu sync.RWMutex
	mu.RLock()
	time.AfterFunc(long, mu.RUnlock)
	mu.Lock() // wait: RWMutex write
}

func cond() {
	c := sync.NewCond(&sync.Mutex{})
	time.AfterFunc(long, c.Broadcast)
	c.L.Lock()
	c.Wait() // wait: cond
	c.L.Unlock()
}

func waitGroup() {
	var wg sync.WaitGroup
	wg.Add(1)
	time.AfterFunc(long, wg.Done)
	wg.Wait() // wait: WaitGroup
}

func sleep() {
	time.Sleep(long) // wait: sleep
}

func timer() {
	<-time.After(long) // wait: timer
}

func netRead() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	check(err)
	defer client.Close()
	server, err := l.Accept()
	check(err)
	defer server.Close()
	time.AfterFunc(long, func() { client.Write([]byte("x")) })
	server.Read(make([]byte, 1)) // wait: network read
}

func fileRead() {
	f, err := os.Open(os.Args[0])
	check(err)
	defer f.Close()
	f.Read(make([]byte, 1<<20)) // wait: file read
}

func systemCall() {
	t := syscall.NsecToTimespec(int64(long))
	syscall.Nanosleep(&t, nil) // wait: syscall
}

// node makes the garbage collector work for each that is allocated.
type node struct {
	next [16]*node
}

var kept []*node

// gcAssist allocates while much is to be marked and little may be allocated, until the garbage collector has let it wait.
func gcAssist() {
	kept = make([]*node, 1<<17)
	for i := range kept {
		kept[i] = &node{}
		kept[i].next[0] = kept[i/2]
	}
	defer debug.SetGCPercent(debug.SetGCPercent(2))
	var group sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		group.Add(1)
		go assists(&group)
	}
	group.Wait()
	kept = nil
}

func assists(group *sync.WaitGroup) {
	defer group.Done()
	var last *node
	for i := 0; i < 1<<17; i++ {
		last = allocate(last)
	}
}

//go:noinline
func allocate(before *node) *node {
	n := new(node) // wait: GC assist
	if before != nil {
		n.next[0] = before.next[0]
	}
	return n
}

// finalizer blocks the runtime's own goroutine.
func finalizer() {
	ended := make(chan struct{})
	runtime.SetFinalizer(new(node), func(*node) {
		time.Sleep(long) // wait: finalizer
		close(ended)
	})
	runtime.GC()
	<-ended
}

func nilChannel() {
	var c chan int
	<-c // wait: nil channel
}
