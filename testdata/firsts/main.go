// Program firsts has, for each of many functions, the first two goroutines that begin in it end at the same time.
//
// It waits for a line on its standard input before it begins, writes one when it has done so, and ends after another.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

func main() {
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	for _, first := range firsts {
		arrived.Store(0)
		both.Add(2)
		go first()
		go first()
		both.Wait()
	}
	fmt.Println("done")
	in.ReadString('\n')
}

var (
	arrived atomic.Int32
	both    sync.WaitGroup
)

// meet returns when two have called it.
func meet() {
	defer both.Done()
	for arrived.Add(1); arrived.Load() != 2; {
	}
}

var firsts = [...]func(){
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
	func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() }, func() { meet() },
}
