// Program channels has goroutines wait for channels with and without buffers. It writes a line when all wait, and ends at a line on its standard
// input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

var (
	unbuffered, other = make(chan int), make(chan int)
	buffered          = make(chan int, 3)
)

func main() {
	go receives()
	go receivesBuffered()
	go selects()
	go selectsBuffered()
	go sleeps()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
}

func receives() { <-unbuffered }

func receivesBuffered() { <-buffered }

func selects() {
	select {
	case <-unbuffered:
	case <-other:
	}
}

func selectsBuffered() {
	select {
	case <-unbuffered:
	case <-buffered:
	}
}

func sleeps() { time.Sleep(time.Hour) }
