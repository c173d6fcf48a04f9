// Program torture does many things that a runtime can do at once, checks all results, and ends with an error at the first that is wrong.
//
//	torture DURATION [PART,PART...]
//
// It writes "ready", and for each line on the standard input "ok" with how often each part has been done, each at least once more since the
// line before. After the duration it ends. A part that is not done once within 30 s ends it with all stacks. "profile" is a part only if it
// is named: a CPU profile at 1 000 Hz.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"
)

// part is something that is done again and again.
type part struct {
	name string
	do   func()
	n    uint64
}

var parts []*part

func add(name string, do func()) { parts = append(parts, &part{name: name, do: do}) }

// hang is how long a part may take.
const hang = 30 * time.Second

func wrong(format string, a ...interface{}) {
	fmt.Printf("WRONG "+format+"\n", a...)
	os.Exit(3)
}

func main() {
	d, err := time.ParseDuration(os.Args[1])
	if err != nil {
		wrong("%v", err)
	}
	if len(os.Args) > 2 {
		choose(strings.Split(os.Args[2], ","))
	}
	for _, p := range parts {
		go p.run()
	}
	fmt.Println("ready")
	go func() {
		time.Sleep(d)
		fmt.Println("end")
		os.Exit(0)
	}()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println("ok", progress())
	}
	os.Exit(0)
}

// choose leaves only some parts.
func choose(names []string) {
	var chosen []*part
	for _, name := range names {
		if name == "profile" {
			profile()
			continue
		}
		for _, p := range parts {
			if p.name == name {
				chosen = append(chosen, p)
			}
		}
	}
	parts = chosen
}

func (p *part) run() {
	for {
		p.do()
		atomic.AddUint64(&p.n, 1)
	}
}

// progress waits until each part was done once more.
func progress() string {
	var done []string
	for _, p := range parts {
		before := atomic.LoadUint64(&p.n)
		for began := time.Now(); atomic.LoadUint64(&p.n) == before; time.Sleep(time.Millisecond) {
			if time.Since(began) > hang {
				fmt.Println("HANG", p.name)
				_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 2)
				os.Exit(4)
			}
		}
		done = append(done, fmt.Sprintf("%s=%d", p.name, atomic.LoadUint64(&p.n)))
	}
	return strings.Join(done, " ")
}

func profile() {
	runtime.SetCPUProfileRate(1000)
	_ = pprof.StartCPUProfile(io.Discard) // it warns that the rate is set already, and keeps it
}
