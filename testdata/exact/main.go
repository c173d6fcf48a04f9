// Program exact does work whose results are known, and ends with an error at the first that is wrong. For each line on the standard input
// it writes how many rounds it has done since the one before.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

func main() {
	var rounds uint64
	for i := 0; i < 2; i++ {
		go work(&rounds)
	}
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for in.Scan() {
		before := atomic.LoadUint64(&rounds)
		for atomic.LoadUint64(&rounds) < before+4 {
			pass(100)
		}
		fmt.Println("ok", atomic.LoadUint64(&rounds))
	}
}

func work(rounds *uint64) {
	for {
		pass(100)
		spawn(100)
		read(20)
		atomic.AddUint64(rounds, 1)
	}
}

// check ends the program if a result is not what it must be.
func check(what string, got, want int) {
	if got != want {
		fmt.Println("WRONG", what, got, want)
		os.Exit(3)
	}
}

// pass hands numbers from one goroutine to another.
func pass(n int) {
	numbers, sum := make(chan int), make(chan int)
	go func() {
		s := 0
		for x := range numbers {
			s += x
		}
		sum <- s
	}()
	for i := 0; i < n; i++ {
		numbers <- i
	}
	close(numbers)
	check("sum", <-sum, n*(n-1)/2)
}

// spawn counts goroutines.
func spawn(n int) {
	var count int32
	var all sync.WaitGroup
	for i := 0; i < n; i++ {
		all.Add(1)
		go func() {
			atomic.AddInt32(&count, 1)
			all.Done()
		}()
	}
	all.Wait()
	check("goroutines", int(count), n)
}

// read makes system calls.
func read(n int) {
	b := make([]byte, 512)
	for i := 0; i < n; i++ {
		f, err := os.Open("/dev/zero")
		if err != nil {
			fmt.Println("WRONG", err)
			os.Exit(3)
		}
		k, _ := f.Read(b)
		check("bytes", k, len(b))
		f.Close()
	}
}
