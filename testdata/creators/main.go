// Program creators has goroutines started by itself, and by a library and a timer on its behalf. It writes "ready", starts them at each line
// on its standard input, and writes "done" when all have nearly ended.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"time"

	"example.com/lib"
)

var group sync.WaitGroup

func main() {
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	for {
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		group.Add(5)
		byItself()
		byLibrary()
		byInlinedLibrary()
		deepDown(20)
		byTimer()
		group.Wait()
		fmt.Println("done")
	}
}

//go:noinline
func byItself() { go ofItself() }

//go:noinline
func byLibrary() { lib.Go(ofLibrary) }

//go:noinline
func byInlinedLibrary() { lib.GoInlined(ofInlinedLibrary) }

//go:noinline
func deepDown(more int) {
	if more == 0 {
		lib.Go(ofDeepDown)
		return
	}
	deepDown(more - 1)
}

func byTimer() { time.AfterFunc(0, ofTimer) }

func ofItself()         { group.Done() }
func ofLibrary()        { group.Done() }
func ofInlinedLibrary() { group.Done() }
func ofDeepDown()       { group.Done() }
func ofTimer()          { group.Done() }
