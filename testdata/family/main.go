// Program family makes families of goroutines of which each step is known: parents, as many as the first argument says, that each create as
// many children as the second says, and wait for them.
//
// It writes "ready" and waits for a line on its standard input. Then it makes the families, writes "waiting" when each child exists and
// nearly waits, lets them go on at the next line, and writes "done" when all have nearly ended. At the line after that it begins again. Where
// the third argument is "exec", it executes itself without that at the first line.
//
// All of a family carry profiler labels that name a span.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"sync"
	"syscall"
)

func main() {
	families, children := number(1), number(2)
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	in.ReadString('\n')
	if len(os.Args) > 3 && os.Args[3] == "exec" {
		check(syscall.Exec("/proc/self/exe", os.Args[:3], os.Environ()))
	}
	for {
		release := make(chan bool)
		var created, ended sync.WaitGroup
		created.Add(families * children)
		ended.Add(families)
		for i := 0; i < families; i++ {
			go parent(children, &created, &ended, release)
		}
		created.Wait()
		fmt.Println("waiting")
		in.ReadString('\n')
		close(release)
		ended.Wait()
		fmt.Println("done")
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
	}
}

func number(argument int) int {
	n, err := strconv.Atoi(os.Args[argument])
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func parent(children int, created, ended *sync.WaitGroup, release <-chan bool) {
	defer ended.Done()
	labels := pprof.Labels("trace_id", "0123456789abcdef0123456789abcdef", "span_id", "0123456789abcdef")
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), labels))
	var group sync.WaitGroup
	group.Add(children)
	for i := 0; i < children; i++ {
		go child(created, &group, release)
	}
	group.Wait()
}

func child(created, group *sync.WaitGroup, release <-chan bool) {
	defer group.Done()
	created.Done()
	<-release
}
