// Program survivor lives on without its first thread, as a C program does that leaves its main thread by pthread_exit: the thread exits at
// a line on the standard input. For each further line it starts a goroutine that writes a line.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// The first goroutine runs in the first thread.
func init() { runtime.LockOSThread() }

func main() {
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	in.Scan()
	go serve(in)
	syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0) // ends one thread, unlike os.Exit
}

func serve(in *bufio.Scanner) {
	for first(); in.Scan(); {
		go answer()
	}
	os.Exit(0)
}

// first says when the first thread is gone: the kernel shows no executable of it any more.
func first() {
	for {
		if _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", os.Getpid())); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Println("survived")
}

func answer() {
	time.Sleep(10 * time.Millisecond)
	fmt.Println("answer")
}
