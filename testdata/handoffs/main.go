// Program handoffs works at each line on its standard input, for as many seconds as its argument says: two goroutines hand a number to and
// fro, and compute a little with it each time. It writes how often that was and how many goroutines there are, and rests until the next line.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

func main() {
	runtime.GOMAXPROCS(1)
	seconds, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		panic(err)
	}
	there, back := make(chan int), make(chan int)
	go func() {
		for n := range there {
			back <- compute(n)
		}
	}()
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n, done := 0, 0
		for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); time.Now().Before(end); {
			there <- n
			n = compute(<-back)
			done++
		}
		fmt.Println(done, runtime.NumGoroutine())
	}
}

// compute takes some microseconds.
func compute(n int) int {
	for i := 0; i < 3000; i++ {
		n = n*1103515245 + 12345
	}
	return n
}
