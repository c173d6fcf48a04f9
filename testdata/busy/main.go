// Program busy has as many parked goroutines as its argument says and, for each line on its standard input, allocates and frees memory for
// a second and writes how often it could.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"time"
)

var sink []byte

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	never := make(chan int)
	for i := 0; i < n; i++ {
		go func() { <-never }()
	}
	in := bufio.NewReader(os.Stdin)
	for {
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		times := 0
		for begin := time.Now(); time.Since(begin) < time.Second; times++ {
			sink = make([]byte, 1024)
		}
		fmt.Println(times)
	}
}
