// Program storm changes the states of goroutines as fast as it can: pairs of goroutines throw a value to and fro.
//
// It waits for a line on its standard input, makes the pairs that its arguments want, each of which throws the value so many times, and
// then writes "done". A third argument names a file for a CPU profile of that.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"sync"
)

func main() {
	pairs, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	throws, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	in.ReadString('\n')
	if len(os.Args) > 3 {
		f, err := os.Create(os.Args[3])
		if err != nil {
			panic(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			panic(err)
		}
	}
	for i := 0; i < pairs; i++ {
		there, back := make(chan int), make(chan int)
		group.Add(2)
		go throw(there, back, throws)
		go catch(there, back, throws)
	}
	group.Wait()
	pprof.StopCPUProfile()
	fmt.Println("done")
	in.ReadString('\n')
}

var group sync.WaitGroup

func throw(there chan<- int, back <-chan int, throws int) {
	defer group.Done()
	for i := 0; i < throws; i++ {
		there <- i
		<-back
	}
}

func catch(there <-chan int, back chan<- int, throws int) {
	defer group.Done()
	for i := 0; i < throws; i++ {
		back <- <-there
	}
}
