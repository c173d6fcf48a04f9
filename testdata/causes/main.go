// Program causes serves HTTP requests in many of the ways in which goroutines hand work to each other, and remembers who did what for which
// request, and when. Its argument is the address of a server that answers each line with the same line after a moment. It writes its own address
// on standard output and serves until it is told to end. A request's path says how it is served, its parameter id which one it is; /truth
// tells what has been done.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"example.com/truth"
)

// works does something for a request and remembers it.
func works(request string, do func()) { truth.Remember(request, false, do) }

func busy() {
	for end := time.Now().Add(20 * time.Microsecond); time.Now().Before(end); {
	}
}

type job struct {
	request string
	reply   chan struct{}
}

func (j job) do() {
	works(j.request, func() { busy(); time.Sleep(time.Millisecond) })
	close(j.reply)
}

// hand gives a job to whoever receives it, and waits until it is done.
func hand(to chan job, request string) {
	j := job{request, make(chan struct{})}
	to <- j
	<-j.reply
}

// offer does the same, and would give up if it was told to.
func offer(to chan job, request string) {
	j := job{request, make(chan struct{})}
	select {
	case to <- j:
	case <-never:
	}
	<-j.reply
}

func receives(from chan job) {
	for j := range from {
		j.do()
	}
}

// shares does jobs for a part of which there is only one token, and others wait to put theirs there.
func shares(from chan job) {
	for j := range from {
		tokens <- struct{}{}
		works(j.request, func() { busy(); time.Sleep(300 * time.Microsecond) })
		<-tokens
		works(j.request, func() { busy(); time.Sleep(300 * time.Microsecond) })
		close(j.reply)
	}
}

func selects(from chan job) {
	for {
		select {
		case j := <-from:
			j.do()
		case <-never:
			return
		}
	}
}

// stage passes jobs on; the last one ends them.
func stage(from, to chan job) {
	for j := range from {
		works(j.request, func() { busy(); time.Sleep(300 * time.Microsecond) })
		if to == nil {
			close(j.reply)
		} else {
			to <- j
		}
	}
}

// takes, picks, passes and keeps do what receives, selects and stage do, with channels that have buffers. Nobody waits for what keeps does.
func takes(from chan job) {
	for j := range from {
		j.do()
	}
}

func picks(from chan job) {
	for {
		select {
		case j := <-from:
			j.do()
		case <-never:
			return
		}
	}
}

func passes(from, to chan job) { stage(from, to) }

func keeps(from chan job) {
	for j := range from {
		j.do()
	}
}

// list has jobs that those wait for with a condition who do them.
type list struct {
	mu    sync.Mutex
	more  *sync.Cond
	queue []job
}

func (l *list) hand(request string) {
	j := job{request, make(chan struct{})}
	l.mu.Lock()
	l.queue = append(l.queue, j)
	l.mu.Unlock()
	l.more.Signal()
	<-j.reply
}

func (l *list) next() job {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 {
		l.more.Wait()
	}
	j := l.queue[0]
	l.queue = l.queue[1:]
	return j
}

func lists(from *list) {
	for {
		from.next().do()
	}
}

// client asks the other server by one connection, on which answers come in any order.
type client struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
	out     chan string
	conn    net.Conn
}

func (c *client) writes() {
	for line := range c.out {
		works(line, func() { fmt.Fprintln(c.conn, line) })
	}
}

func (c *client) reads() {
	for in := bufio.NewScanner(c.conn); in.Scan(); {
		c.mu.Lock()
		answered := c.waiting[in.Text()]
		delete(c.waiting, in.Text())
		c.mu.Unlock()
		close(answered)
	}
}

func (c *client) ask(line string) {
	answered := make(chan struct{})
	c.mu.Lock()
	c.waiting[line] = answered
	c.mu.Unlock()
	c.out <- line
	<-answered
}

var (
	direct, chosen, queued = make(chan job), make(chan job), make(chan job, 64)
	picked, staged, kept   = make(chan job, 1), make(chan job, 3), make(chan job, 64)
	first, second          = make(chan job), make(chan job)
	offered, shared        = make(chan job), make(chan job)
	tokens, never          = make(chan struct{}, 1), make(chan struct{})
	remote                 = &client{waiting: map[string]chan struct{}{}, out: make(chan string)}
	contended              sync.Mutex
	listed                 = &list{}
)

var ways = map[string]func(request string){
	"direct":   func(request string) { hand(direct, request) },
	"chosen":   func(request string) { hand(chosen, request) },
	"queued":   func(request string) { hand(queued, request) },
	"offered":  func(request string) { offer(offered, request) },
	"shared":   func(request string) { hand(shared, request) },
	"picked":   func(request string) { hand(picked, request) },
	"staged":   func(request string) { hand(staged, request) },
	"listed":   func(request string) { listed.hand(request) },
	"kept":     func(request string) { kept <- job{request, make(chan struct{})} },
	"pipeline": func(request string) { hand(first, request) },
	"remote":   func(request string) { remote.ask(request) },
	"mutex": func(request string) {
		contended.Lock()
		defer contended.Unlock()
		works(request, func() { time.Sleep(time.Millisecond) })
	},
	"fan": func(request string) {
		var all sync.WaitGroup
		for i := 0; i < 4; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				works(request, func() { busy(); time.Sleep(300 * time.Microsecond) })
			}()
		}
		all.Wait()
	},
	"poll": func(request string) {
		ended := make(chan struct{})
		go func() {
			works(request, func() {
				for i := 0; i < 4; i++ {
					time.Sleep(300 * time.Microsecond)
				}
			})
			close(ended)
		}()
		<-ended
	},
	"timer": func(request string) {
		ended := make(chan struct{})
		time.AfterFunc(time.Millisecond, func() {
			works(request, busy)
			close(ended)
		})
		<-ended
	},
	"cancel": func(request string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		ended := make(chan struct{})
		go func() {
			<-ctx.Done()
			works(request, busy)
			close(ended)
		}()
		<-ended
	},
	"outlives": func(request string) {
		go func() { works(request, func() { time.Sleep(10 * time.Millisecond) }) }()
	},
}

func serve(w http.ResponseWriter, r *http.Request) {
	request := r.URL.Query().Get("id")
	truth.Remember(request, true, func() { ways[r.URL.Path[1:]](request) })
}

func main() {
	listed.more = sync.NewCond(&listed.mu)
	for i := 0; i < 3; i++ {
		go receives(direct)
		go selects(chosen)
		go shares(shared)
	}
	go receives(offered)
	for i := 0; i < 2; i++ {
		go takes(queued)
		go picks(picked)
		go lists(listed)
	}
	buffered := make(chan job, 3)
	go passes(staged, buffered)
	go passes(buffered, nil)
	go keeps(kept)
	third := make(chan job)
	go stage(first, second)
	go stage(second, third)
	go stage(third, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	remote.conn, err = net.Dial("tcp", os.Args[1])
	check(err)
	go remote.writes()
	go remote.reads()
	http.HandleFunc("/truth", truth.Tell)
	http.HandleFunc("/", serve)
	fmt.Println(l.Addr())
	check(http.Serve(l, nil))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
