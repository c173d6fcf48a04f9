// Program short lives for a little more than a second, with a goroutine that lives for more than one. With -exec it first executes
// itself again.
package main

import (
	"os"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-exec" {
		err := syscall.Exec("/proc/self/exe", os.Args[:1], os.Environ())
		panic(err)
	}
	done := make(chan struct{})
	go worker(done)
	<-done
	time.Sleep(50 * time.Millisecond)
}

func worker(done chan struct{}) {
	time.Sleep(1100 * time.Millisecond)
	close(done)
}
