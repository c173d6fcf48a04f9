//go:build linux

package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// protocols are those by which the program of that name is asked, with what the goroutine begins in that serves a request.
var protocols = map[string]string{
	"http1": "net/http.(*conn).serve",
	"http2": "net/http.(*http2serverConn).runHandler",
	"grpc":  "google.golang.org/grpc.(*Server).serveStreams.func2.1",
}

// TestProtocols asks a server by connections that are kept, which are open and busy when it begins to be followed, by one client and by so many that
// requests never cease. By each protocol a request is a trace with all its work, as the server tells of it itself.
func TestProtocols(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "protocols", testbuild.Options{})
	for _, engine := range []string{"uprobe", "trampoline"} {
		for name, clients := range map[string]int{"one client": 1, "many clients": 16} {
			t.Run(engine+"/"+name, func(t *testing.T) {
				if engine == "trampoline" {
					requireTrampolines(t)
				}
				l := load{clients: clients, rounds: 10}
				for way := range protocols {
					l.certain = append(l.certain, way)
				}
				testLoad(t, l, func() ([]worked, []ptrace.Span) { return serveProtocols(t, exe, engine, l) })
			})
		}
	}
}

func serveProtocols(t *testing.T, exe, engine string, l load) (truth []worked, spans []ptrace.Span) {
	t.Helper()
	server := testbuild.Start(t, exe)
	first, second, third := "http://"+server.Line(), "http://"+server.Line(), server.Line()
	ask := map[string]func(id string) error{"http1": byHTTP(first, false), "http2": byHTTP(second, true), "grpc": byGRPC(t, third)}
	var begun, ended atomic.Bool
	var all sync.WaitGroup
	defer all.Wait()
	defer ended.Store(true)
	askByAll := func(id string) bool {
		for way, do := range ask {
			if err := do(way + "." + id); err != nil {
				t.Error(err)
				return false
			}
		}
		return true
	}
	for n := range l.clients {
		all.Go(func() {
			for !begun.Load() && !ended.Load() && askByAll("early") {
			}
			for round := 0; round < l.rounds && !ended.Load() && askByAll(fmt.Sprintf("%d-%d", n, round)); round++ {
			}
		})
	}
	b := e2etest.NewBackend(t)
	receiver := e2etest.Following(exe)
	if err := receiver.Set("{engine: " + engine + ", traces: {max_spans_per_second: 0}, overhead: {budget: 0}, ring_buffer_size: 134217728}"); err != nil {
		t.Fatal(err)
	}
	c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint()))
	e2etest.Eventually(t, "requests to be seen by each protocol", func() bool {
		seen := map[string]bool{}
		for _, s := range b.Spans() {
			seen[e2etest.StartFunction(s)] = seen[e2etest.StartFunction(s)] || s.ParentSpanID().IsEmpty() && s.Kind() == ptrace.SpanKindServer
		}
		for _, function := range protocols {
			if !seen[function] {
				return false
			}
		}
		return true
	}, c.Out.String)
	begun.Store(true)
	all.Wait()
	truth = truthOf(t, first)
	http.DefaultClient.CloseIdleConnections()
	c.Stop()
	return truth, b.Spans()
}

// byHTTP returns what sends requests to a server by connections that are kept; of HTTP/2 it is one.
func byHTTP(to string, second bool) func(id string) error {
	var by http.Protocols
	by.SetHTTP1(!second)
	by.SetUnencryptedHTTP2(second)
	client := &http.Client{Transport: &http.Transport{Protocols: &by, MaxIdleConnsPerHost: 100}, Timeout: time.Minute}
	return func(id string) error {
		response, err := client.Get(to + "/?id=" + url.QueryEscape(id))
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
}

// byGRPC returns what sends requests to a server by one connection.
func byGRPC(t *testing.T, to string) func(id string) error {
	t.Helper()
	conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client := health.NewHealthClient(conn)
	return func(id string) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := client.Check(ctx, &health.HealthCheckRequest{Service: id})
		return err
	}
}

// truthOf returns what a server tells of its work.
func truthOf(t *testing.T, server string) (truth []worked) {
	t.Helper()
	response, err := http.Get(server + "/truth")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&truth); err != nil {
		t.Fatal(err)
	}
	return truth
}
