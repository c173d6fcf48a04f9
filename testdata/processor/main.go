// Program processor keeps its processors busy in one way until its standard input ends. It writes "ready" once it does.
//
//	work N      N goroutines compute
//	starve N    they do so with one processor for all of them
//	garbage     one goroutine makes garbage beside a heap that is in use, so that most of the work is the collector's
package main

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

func main() {
	switch os.Args[1] {
	case "starve":
		runtime.GOMAXPROCS(1)
		fallthrough
	case "work":
		n, err := strconv.Atoi(os.Args[2])
		if err != nil {
			panic(err)
		}
		for i := 0; i < n; i++ {
			go work()
		}
	case "garbage":
		debug.SetGCPercent(5)
		go garbage()
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

func work() {
	block := make([]byte, 4096)
	for sum := uint32(0); ; {
		sum = crc32.Update(sum, crc32.IEEETable, block)
	}
}

// node is what the garbage collector has to follow pointers of.
type node struct {
	next *node
	fill [6]uintptr
}

const live = 1 << 20

var dropped *node // a package variable, so that it is on the heap

func garbage() {
	var used *node
	for i := 0; i < live; i++ {
		used = &node{next: used}
	}
	for {
		dropped = &node{}
		runtime.KeepAlive(used)
	}
}
