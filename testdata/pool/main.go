// Program pool serves HTTP requests by workers that live on: /direct gives one a job through a channel without a buffer, /queued through
// one with a buffer, /called through one without a buffer to a worker that a function literal calls. It writes its address on standard output and serves until it is told to end.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

type job struct {
	done chan struct{}
}

func main() {
	direct, queued, called := make(chan job), make(chan job, 64), make(chan job)
	for i := 0; i < 2; i++ {
		go takeDirect(direct)
		go takeQueued(queued)
		start(func() { takeCalled(called) })
	}
	http.HandleFunc("/direct", func(http.ResponseWriter, *http.Request) { hand(direct) })
	http.HandleFunc("/queued", func(http.ResponseWriter, *http.Request) { hand(queued) })
	http.HandleFunc("/called", func(http.ResponseWriter, *http.Request) { hand(called) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	http.Serve(l, nil)
}

// hand gives a worker a job and waits until it is done.
func hand(jobs chan job) {
	j := job{make(chan struct{})}
	jobs <- j
	<-j.done
}

func takeDirect(jobs chan job) {
	for j := range jobs {
		work(j)
	}
}

func takeQueued(jobs chan job) {
	for j := range jobs {
		work(j)
	}
}

func takeCalled(jobs chan job) {
	for j := range jobs {
		work(j)
	}
}

var running sync.WaitGroup

// start has a goroutine call f, as packages do that count those that run.
func start(f func()) {
	running.Add(1)
	go func() {
		defer running.Done()
		f()
	}()
}

func work(j job) {
	time.Sleep(time.Millisecond)
	close(j.done)
}
