// Program server is a small HTTP service with the ordinary habits, good and bad, of a Go program.
//
// It writes its address on standard output and serves until it is told to end.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hash", hash)
	mux.HandleFunc("/cache", readCache)
	mux.HandleFunc("/fanout", fanOut)
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/file", file)
	mux.HandleFunc("/leak", leak)
	server := &http.Server{Handler: mux}
	go refreshCache()
	go func() {
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGTERM)
		<-end
		server.Shutdown(context.Background())
	}()
	fmt.Println(l.Addr())
	server.Serve(l)
}

// hash computes.
func hash(w http.ResponseWriter, _ *http.Request) {
	sum := sha256.Sum256(nil)
	for i := 0; i < 20000; i++ {
		sum = sha256.Sum256(sum[:])
	}
	fmt.Fprintf(w, "%x\n", sum)
}

var (
	cacheMu sync.Mutex
	cache   = map[string]string{}
)

// readCache waits for a mutex that refreshCache holds for long.
func readCache(w http.ResponseWriter, _ *http.Request) {
	cacheMu.Lock()
	defer cacheMu.Unlock()
	fmt.Fprintln(w, len(cache))
}

func refreshCache() {
	for i := 0; ; i++ {
		cacheMu.Lock()
		cache[fmt.Sprint(i%100)] = strings.Repeat("x", i%1000)
		time.Sleep(5 * time.Millisecond)
		cacheMu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

// fanOut spawns workers and gathers what they send.
func fanOut(w http.ResponseWriter, _ *http.Request) {
	results := make(chan int)
	for i := 0; i < 8; i++ {
		go worker(i, results)
	}
	sum := 0
	for i := 0; i < 8; i++ {
		sum += <-results
	}
	fmt.Fprintln(w, sum)
}

func worker(n int, results chan<- int) {
	time.Sleep(time.Duration(n) * time.Millisecond)
	results <- n
}

// slow sleeps.
func slow(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(30 * time.Millisecond)
	fmt.Fprintln(w, "done")
}

// file writes and syncs a file.
func file(w http.ResponseWriter, _ *http.Request) {
	f, err := os.CreateTemp("", "server")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	f.Write(make([]byte, 1<<16))
	f.Sync()
	fmt.Fprintln(w, f.Name())
}

// leak leaves a goroutine behind that waits for a value which nobody sends.
func leak(w http.ResponseWriter, _ *http.Request) {
	never := make(chan int)
	go forgotten(never)
	fmt.Fprintln(w, "leaked one")
}

func forgotten(never <-chan int) {
	<-never
}
