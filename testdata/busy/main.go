// Program busy has as many parked goroutines as its argument says and, for each line on its standard input, computes for a second and
// writes how often it could.
package main

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"time"
)

var sum uint32

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	never := make(chan int)
	for i := 0; i < n; i++ {
		go func() { <-never }()
	}
	block := make([]byte, 4096)
	in := bufio.NewReader(os.Stdin)
	for {
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		times := 0
		for begin := time.Now(); time.Since(begin) < time.Second; times++ {
			sum = crc32.Update(sum, crc32.IEEETable, block)
		}
		fmt.Println(times)
	}
}
