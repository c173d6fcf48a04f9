// Program lines has goroutines wait for a mutex at one line for long, and at another for a little, and processor time be used by goroutines of one
// function, and a little by those of another.
//
// It waits for a line on its standard input before it begins, and for another before it ends. Between them it writes, as JSON, for how many
// seconds its goroutines were at the two lines, which is as long as they waited there, or longer.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// held is for how long a goroutine has a mutex.
const held = time.Millisecond

func main() {
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	var hot, cold atomic.Int64
	var group sync.WaitGroup
	start(&group, 4, func() { contend(&hot) })
	start(&group, 2, func() { contendLittle(&cold) })
	group.Add(1)
	go burn(&group)
	for range 10 {
		group.Add(1)
		go nibble(&group)
	}
	group.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"main.contend": time.Duration(hot.Load()).Seconds(), "main.contendLittle": time.Duration(cold.Load()).Seconds(),
	})
	in.ReadString('\n')
}

func start(group *sync.WaitGroup, n int, f func()) {
	group.Add(n)
	for range n {
		go func() {
			defer group.Done()
			f()
		}()
	}
}

var hotMutex, coldMutex sync.Mutex

func contend(waited *atomic.Int64) {
	for range 50 {
		began := time.Now()
		hotMutex.Lock() // wait: hot
		waited.Add(int64(time.Since(began)))
		time.Sleep(held)
		hotMutex.Unlock()
	}
}

func contendLittle(waited *atomic.Int64) {
	for range 5 {
		began := time.Now()
		coldMutex.Lock() // wait: cold
		waited.Add(int64(time.Since(began)))
		time.Sleep(held)
		coldMutex.Unlock()
	}
}

// sum keeps the compiler from leaving the work out.
var sum atomic.Int64

func burn(group *sync.WaitGroup) {
	defer group.Done()
	work(1 << 27)
}

func nibble(group *sync.WaitGroup) {
	defer group.Done()
	work(1 << 17)
}

func work(n int) {
	x := int64(n)
	for i := range n {
		x = x*31 + int64(i)
	}
	sum.Add(x)
}
