// Program forking has a child by vfork again and again, which lives for a second and meanwhile keeps the thread that it has it from in the
// kernel, and hands numbers from one goroutine to another. For each line on the standard input it writes that it has handed some more.
package main

/*
#include <sys/wait.h>
#include <unistd.h>

static void have_child(void)
{
	pid_t child = vfork();

	if (child == 0) {
		sleep(1);
		_exit(0);
	}
	waitpid(child, 0, 0);
}
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	go func() {
		for {
			C.have_child()
		}
	}()
	numbers := make(chan int)
	go func() {
		for i := 0; ; i++ {
			numbers <- i
		}
	}()
	fmt.Println("ready")
	next := 0
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		for i := 0; i < 1000; i++ {
			if x := <-numbers; x != next {
				fmt.Println("WRONG", x, next)
				os.Exit(3)
			}
			next++
		}
		fmt.Println("ok")
	}
}
