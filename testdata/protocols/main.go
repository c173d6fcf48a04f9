// Program protocols serves the same requests by HTTP/1.1, by HTTP/2 and by gRPC, and remembers who did what for which request, and when. It writes the
// address of each on standard output, in that order, and serves until it is told to end. A request's parameter id says which one it is, by gRPC the
// name of the service whose health is asked for; /truth tells what has been done.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
)

// done is a piece of work, in ns since 1970.
type done struct {
	Request    string
	Handler    bool
	Goroutine  int
	Begin, End int64
}

var (
	mu    sync.Mutex
	truth []done
)

func remember(request string, handler bool, do func()) {
	begin := time.Now().UnixNano()
	do()
	d := done{request, handler, goid(), begin, time.Now().UnixNano()}
	mu.Lock()
	truth = append(truth, d)
	mu.Unlock()
}

func goid() int {
	var text [32]byte
	fields := strings.Fields(string(text[:runtime.Stack(text[:], false)]))
	id, _ := strconv.Atoi(fields[1])
	return id
}

// answer has two goroutines work for a request.
func answer(request string) {
	remember(request, true, func() {
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				remember(request, false, func() { time.Sleep(300 * time.Microsecond) })
			})
		}
		all.Wait()
	})
}

type service struct {
	health.UnimplementedHealthServer
}

func (service) Check(_ context.Context, request *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	answer(request.Service)
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { answer(r.URL.Query().Get("id")) })
	mux.HandleFunc("/truth", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		check(json.NewEncoder(w).Encode(truth))
	})
	first := &http.Server{Handler: mux}
	second := &http.Server{Handler: mux, Protocols: &http.Protocols{}}
	second.Protocols.SetUnencryptedHTTP2(true)
	third := grpc.NewServer()
	health.RegisterHealthServer(third, service{})
	for _, serve := range []func(net.Listener) error{first.Serve, second.Serve, third.Serve} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		fmt.Println(l.Addr())
		go func() { check(serve(l)) }()
	}
	select {}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
