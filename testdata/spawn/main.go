// Program spawn creates as many goroutines as its argument says, one after the other, when it reads a line on its standard input, and then
// writes "done".
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
)

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	in.ReadString('\n')
	done := make(chan int)
	for i := 0; i < n; i++ {
		go work(done)
		<-done
	}
	fmt.Println("done")
	in.ReadString('\n')
}

func work(done chan<- int) { done <- 1 }
