package goexe

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

func TestHandlers(t *testing.T) {
	const (
		serve = "net/http.(*conn).serve"
		http  = "net/http.serverHandler.ServeHTTP " + serve + " runtime.goexit"
		mux   = "net/http.HandlerFunc.ServeHTTP net/http.(*ServeMux).ServeHTTP " + http
		h2    = "net/http.(*http2serverConn).runHandler"
		rpc   = "google.golang.org/grpc.(*Server).serveStreams.func2.1"
		dns   = "github.com/miekg/dns.(*Server).serveUDPPacket"
		nats  = "github.com/nats-io/nats%2ego.(*Conn).waitForMsgs"
	)
	for name, c := range map[string]struct {
		start, stack string
		want         lifecycle.Handler
	}{
		"a function":                  {serve, "runtime.gopark sync.(*Mutex).Lock main.read main.answer " + mux, lifecycle.Handler{Function: "main.answer", Depth: 6}},
		"behind others":               {serve, "runtime.gopark main.answer net/http.HandlerFunc.ServeHTTP main.logged.func1 " + mux, lifecycle.Handler{Function: "main.answer", Depth: 8}},
		"one of the others":           {serve, "runtime.gopark main.logged.func1 " + mux, lifecycle.Handler{Function: "main.logged.func1", Depth: 6}},
		"a method":                    {serve, "runtime.gopark main.(*api).find main.(*api).ServeHTTP " + http, lifecycle.Handler{Function: "main.(*api).ServeHTTP", Depth: 4}},
		"another's adapter":           {serve, "runtime.gopark main.answer example.com/router.HandlerFunc.ServeHTTP example.com/router.(*Router).ServeHTTP " + http, lifecycle.Handler{Function: "main.answer", Depth: 6}},
		"gin":                         {serve, "runtime.gopark main.answer github.com/gin-gonic/gin.(*Context).Next github.com/gin-gonic/gin.(*Engine).handleHTTPRequest github.com/gin-gonic/gin.(*Engine).ServeHTTP " + http, lifecycle.Handler{Function: "main.answer", Depth: 7}},
		"which asks another":          {serve, "POLL net/http.(*Client).Do main.answer " + mux, lifecycle.Handler{Function: "main.answer", Depth: 6}},
		"HTTP/2":                      {h2, "runtime.gopark main.answer net/http.serverHandler.ServeHTTP net/http.initALPNRequest.ServeHTTP " + h2 + " runtime.goexit", lifecycle.Handler{Function: "main.answer", Depth: 5}},
		"gRPC":                        {rpc, "runtime.gopark main.(*kv).Range example.com/pb._KV_Range_Handler.func1 main.logged example.com/pb._KV_Range_Handler google.golang.org/grpc.(*Server).processUnaryRPC google.golang.org/grpc.(*Server).handleStream " + rpc + " runtime.goexit", lifecycle.Handler{Function: "example.com/pb._KV_Range_Handler", Depth: 5}},
		"DNS":                         {dns, "runtime.gopark main.answer github.com/miekg/dns.HandlerFunc.ServeDNS github.com/miekg/dns.(*ServeMux).ServeDNS github.com/miekg/dns.(*Server).serveDNS " + dns + " runtime.goexit", lifecycle.Handler{Function: "main.answer", Depth: 6}},
		"plugins":                     {dns, "runtime.gopark example.com/forward.(*Forward).ServeDNS example.com/cache.(*Cache).ServeDNS main.(*Server).ServeDNS github.com/miekg/dns.(*Server).serveDNS " + dns + " runtime.goexit", lifecycle.Handler{Function: "example.com/forward.(*Forward).ServeDNS", Depth: 6}},
		"a subscription":              {nats, "POLL github.com/nats-io/nats%2ego.(*Conn).Publish main.take " + nats + " runtime.goexit", lifecycle.Handler{Function: "main.take", Depth: 3}},
		"between requests":            {serve, "POLL bufio.(*Reader).fill bufio.(*Reader).Peek " + serve + " runtime.goexit", lifecycle.Handler{}},
		"a goroutine of no library's": {"main.worker", "runtime.gopark main.answer " + mux, lifecycle.Handler{}},
	} {
		t.Run(name, func(t *testing.T) {
			calls, s := stackOf(c.stack)
			p := NewPlaces(program{c.start, calls}, nil, Traits{}, 0)
			for range 2 {
				if got := p.Handler(0, s); got != c.want {
					t.Errorf("it is %+v, want %+v", got, c.want)
				}
			}
		})
	}
}

func TestGRPCMethod(t *testing.T) {
	for function, want := range map[string]string{
		"go.etcd.io/etcd/api/v3/etcdserverpb._KV_Range_Handler": "KV/Range",
		"example.com/pb._Old_Service_Call_Handler":              "Old_Service/Call",
		"example.com/pb._KV_Range_Handler.func1":                "",
		"example.com/pb._Handler":                               "",
		"example.com/pb._KV_Handler":                            "",
		"example.com/pb.KV_Range_Handler":                       "",
		"main.(*kv)._KV_Range_Handler":                          "",
		"":                                                      "",
	} {
		if got, _ := GRPCMethod(function); got != want {
			t.Errorf("%q is %q, want %q", function, got, want)
		}
	}
}
