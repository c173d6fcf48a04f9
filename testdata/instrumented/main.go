// Program instrumented is an HTTP server that OpenTelemetry's SDK and otelhttp instrument, and that tells the profiler, by labels, for
// which span its goroutines work. It writes the address at which it listens, and then for each span that has ended its name, trace id, span
// id, parent's span id, and when it began and ended in ns since 1970.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime/pprof"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	provider := sdk.NewTracerProvider(sdk.WithSyncer(lines{}))
	tracer := provider.Tracer("instrumented")
	http.Handle("/", otelhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		labelled(r.Context(), func(ctx context.Context) { answer(ctx, tracer) })
	}), "request", otelhttp.WithTracerProvider(provider)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	log.Fatal(http.Serve(l, nil))
}

// labelled runs f with labels that name the context's span.
func labelled(ctx context.Context, f func(context.Context)) {
	span := trace.SpanContextFromContext(ctx)
	pprof.Do(ctx, pprof.Labels("tenant", "a", "trace_id", span.TraceID().String(), "span_id", span.SpanID().String()), f)
}

// answer has two goroutines work for the request, and two for a span inside it.
func answer(ctx context.Context, tracer trace.Tracer) {
	var group sync.WaitGroup
	group.Add(4)
	go fetch(&group)
	go fetch(&group)
	ctx, span := tracer.Start(ctx, "query")
	labelled(ctx, func(context.Context) {
		go query(&group)
		go query(&group)
		time.Sleep(time.Millisecond)
	})
	group.Wait()
	span.End()
}

func fetch(group *sync.WaitGroup) {
	defer group.Done()
	time.Sleep(2 * time.Millisecond)
	group.Add(1)
	go part(group)
}

func part(group *sync.WaitGroup) {
	defer group.Done()
	time.Sleep(time.Millisecond)
}

func query(group *sync.WaitGroup) {
	defer group.Done()
	time.Sleep(3 * time.Millisecond)
}

// lines writes spans.
type lines struct{}

func (lines) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	for _, s := range spans {
		fmt.Println(s.Name(), s.SpanContext().TraceID(), s.SpanContext().SpanID(), s.Parent().SpanID(), s.StartTime().UnixNano(), s.EndTime().UnixNano())
	}
	return nil
}

func (lines) Shutdown(context.Context) error { return nil }
