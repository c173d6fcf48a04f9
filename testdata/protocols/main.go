// Program protocols serves the same requests by HTTP/1.1, by HTTP/2 and by gRPC, and remembers who did what for which request, and when. It writes the
// address of each on standard output, in that order, and serves until it is told to end. A request's parameter id says which one it is, by gRPC the
// name of the service whose health is asked for; /truth tells what has been done.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"example.com/truth"
	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
)

// answer has two goroutines work for a request.
func answer(request string) {
	truth.Remember(request, true, func() {
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				truth.Remember(request, false, func() { time.Sleep(300 * time.Microsecond) })
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
	mux.HandleFunc("/truth", truth.Tell)
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
